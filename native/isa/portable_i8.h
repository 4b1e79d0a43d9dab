// Int8 without any instruction set, in plain integers: four sums at a time, or as many as another processor has, so that what is
// written for its registers can be tested anywhere.
#pragma once

#include <cmath>
#include <cstring>

#include "../kernels/i8/requantize.h"

namespace mobilenet {

template <int Lanes>
struct PortableInt {
  static constexpr const char* name = "portable";
  static constexpr int lanes = Lanes;
  static constexpr int weight_bytes = 4 * lanes;  // of a register's product weights
  static constexpr bool few_registers = false;
  static constexpr bool out_of_line = true;  // a window in plain integers is long: inlined at each place it takes a minute to compile
  struct Sums {
    std::int32_t of[Lanes];
  };
  struct Floats {
    float of[Lanes];
  };
  struct Bytes {
    std::uint8_t of[4 * Lanes];  // as packing leaves them: register j's sums 4 l to 4 l + 3 are bytes 16 l + 4 j and on
  };
  struct Value {
    std::int16_t of[Lanes][4];
  };
  using Weight = Value;

  template <class T>
  static T copied(const void* p) {
    T x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  template <class Lane>
  static Sums each(Lane lane) {
    Sums to;
    for (int i = 0; i < lanes; ++i) to.of[i] = lane(i);
    return to;
  }
  template <class T>
  static Value four(const T* p, int apart) {  // the four inputs of channels that stand `apart` values apart
    Value to;
    for (int i = 0; i < lanes; ++i)
      for (int k = 0; k < 4; ++k) to.of[i][k] = p[i * apart + k];
    return to;
  }

  static Sums load(const std::int32_t* p) { return copied<Sums>(p); }
  static void store_sums(std::int32_t* p, const Sums& x) { std::memcpy(p, &x, sizeof(x)); }
  static Bytes load_bytes(const std::uint8_t* p) { return copied<Bytes>(p); }
  static Floats floats(const float* p) { return copied<Floats>(p); }
  static Weight weight(const std::int8_t* p) { return four(p, 4); }
  static Value value(const Bytes& x) { return four(x.of, 4); }
  static Value broadcast(const std::uint8_t* p) { return four(p, 0); }
  static Sums dot(const Sums& sum, const Value& v, const Weight& w) {
    return each([&](int i) {
      std::int32_t x = sum.of[i];
      for (int k = 0; k < 4; ++k) x += v.of[i][k] * w.of[i][k];
      return x;
    });
  }
  static Sums multiply_add(const Sums& a, const Sums& b, const Sums& c) {
    return each([&](int i) { return a.of[i] * b.of[i] + c.of[i]; });
  }
  static Sums shifted(const Sums& x, int bits) {
    return each([&](int i) { return x.of[i] << bits; });
  }
  static Sums either(const Sums& a, const Sums& b) {
    return each([&](int i) { return a.of[i] | b.of[i]; });
  }
  static void interleave(const Bytes& a, const Bytes& b, const Bytes& c, Bytes (&to)[4]) {
    for (int i = 0; i < 4 * lanes; ++i) {
      std::uint8_t* place = to[i / 4 % 4].of + i / 16 * 16 + i % 4 * 4;
      place[0] = a.of[i], place[1] = b.of[i], place[2] = c.of[i], place[3] = 0;
    }
  }

  // Rounded values are limited to 16 bits, as the other instruction sets keep them.
  static std::int32_t rounded(std::int32_t sum, float scale) {
    const std::int64_t y = i8::rounded(sum, static_cast<std::int64_t>(scale * static_cast<float>(1 << i8::kShift)));
    return static_cast<std::int32_t>(y < -32768 ? -32768 : y > 32767 ? 32767 : y);
  }
  static Sums round_magic(const Sums& sum, const Floats& scale, const Floats&) {
    return each([&](int i) { return rounded(sum.of[i] - i8::kMagicBits, scale.of[i]); });
  }
  static Sums round_general(const Sums& sum, const Floats& scale) {
    return each([&](int i) { return rounded(sum.of[i], scale.of[i]); });
  }

  // The nearest integer to fma(sum, scale, offset with the sum's sign).
  static Sums round_nearest(const Sums& sum, const Floats& scale, const Floats& offset) {
    return each([&](int i) {
      const auto x = static_cast<float>(sum.of[i]);
      return static_cast<std::int32_t>(std::nearbyint(std::fma(x, scale.of[i], std::copysign(offset.of[i], x))));
    });
  }
  static Sums fixed_point(const Sums& x, const Sums& fraction, const Sums& exponent) {
    return each([&](int i) { return static_cast<std::int32_t>(i8::fixed_point(x.of[i], fraction.of[i], exponent.of[i])); });
  }

  static Bytes pack_shifted(const Sums& a, const Sums& b, const Sums& c, const Sums& d, int zero, int low, int high) {
    Bytes to;
    const Sums* const four[] = {&a, &b, &c, &d};
    for (int i = 0; i < 4 * lanes; ++i) {
      const std::int64_t y = std::int64_t{zero} + four[i / 4 % 4]->of[i / 16 * 4 + i % 4];
      to.of[i] = static_cast<std::uint8_t>(y < low ? low : y > high ? high : y);
    }
    return to;
  }
  static Bytes pack(const Sums& a, const Sums& b, const Sums& c, const Sums& d) { return pack_shifted(a, b, c, d, 0, 0, 255); }
  static Bytes pack_any(const Sums& a, const Sums& b, const Sums& c, const Sums& d, int zero, int low, int high) {
    return pack_shifted(a, b, c, d, zero, low, high);
  }
  template <class Lane>
  static Floats each_float(Lane lane) {
    Floats to;
    for (int i = 0; i < lanes; ++i) to.of[i] = lane(i);
    return to;
  }
  static Floats same(float x) {
    return each_float([&](int) { return x; });
  }
  static Floats times(const Floats& a, const Floats& b) {
    return each_float([&](int i) { return a.of[i] * b.of[i]; });
  }
  static Floats plus(const Floats& a, const Floats& b) {
    return each_float([&](int i) { return a.of[i] + b.of[i]; });
  }
  static Floats reals(const std::uint8_t* p) { return converted(widened(p)); }
  static Floats converted(const Sums& x) {
    return each_float([&](int i) { return static_cast<float>(x.of[i]); });
  }
  static Sums nearest(const Floats& x) {
    return each([&](int i) { return static_cast<std::int32_t>(std::nearbyint(x.of[i])); });
  }
  static Sums truncated(const Floats& x) {
    return each([&](int i) { return static_cast<std::int32_t>(x.of[i]); });
  }
  static void store_floats(float* p, const Floats& x) { std::memcpy(p, &x, sizeof(x)); }
  static Sums strided(const std::uint8_t* p, int stride) {  // four bytes of each pixel
    return each([&](int i) { return copied<std::int32_t>(p + static_cast<long>(i) * stride); });
  }
  static Sums shifted_down(const Sums& x, int bits) {
    return each([&](int i) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(x.of[i]) >> bits); });
  }
  static Sums both(const Sums& a, const Sums& b) {
    return each([&](int i) { return a.of[i] & b.of[i]; });
  }
  static Sums all(int x) {
    return each([&](int) { return x; });
  }
  static Sums sum(const Sums& a, const Sums& b) {
    return each([&](int i) { return a.of[i] + b.of[i]; });
  }
  static Sums widened(const std::uint8_t* p) {
    return each([&](int i) { return p[i]; });
  }
  static void store_narrowed(std::uint8_t* p, const Sums& x) {  // limited to bytes
    for (int i = 0; i < lanes; ++i) p[i] = static_cast<std::uint8_t>(x.of[i] < 0 ? 0 : x.of[i] > 255 ? 255 : x.of[i]);
  }

  template <int Vectors>
  static void store(std::uint8_t* target, long stride, const Bytes& x, int pixels, int bytes) {
    for (int i = 0; i < 4 * lanes; ++i) {
      const int part = i / 4 % 4, pixel = part / Vectors, channel = i / 16 * 4 * Vectors + part % Vectors * 4 + i % 4;
      if (pixel < pixels && channel < bytes) target[pixel * stride + channel] = x.of[i];
    }
  }
  // The part's bytes as the sums of register `part` stand.
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int part) {
    return each([&](int i) { return p[i / 4 * 4 * Vectors + part * 4 + i % 4]; });
  }
  // RNE(x * factor + offset) in double precision, from 0 to 255.
  static Sums color(const float* p, double factor, double offset) {
    constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: a double of this size has no bits behind the point
    return each([&](int i) {
      const double y = p[i] * factor + offset, limited = y > 0 ? (y < 255 ? y : 255) : 0;  // the product is exact
      return static_cast<std::int32_t>(limited + magic - magic);
    });
  }
  // The integer nearest to x / scale, halves away from 0, plus zero; from 0 to 255.
  static Sums color_divided(const float* p, float scale, float zero) {
    return each([&](int i) {
      const float x = p[i] / scale, y = std::trunc(x + std::copysign(0.5f, x)) + zero;
      return static_cast<std::int32_t>(y > 0 ? (y < 255 ? y : 255) : 0);
    });
  }
  static void store_real(float* target, const Sums& sum, const float* scale) {
    for (int i = 0; i < lanes; ++i) target[i] = static_cast<float>(sum.of[i]) * scale[i];
  }

  static constexpr int tile_pixels(int) { return 2; }
};

using PortableI8 = PortableInt<4>;

}  // namespace mobilenet
