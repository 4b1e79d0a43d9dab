// Int8 without any instruction set: four sums at a time in plain integers.
#pragma once

#include <cstring>

#include "../kernels/i8/requantize.h"

namespace mobilenet {

struct PortableI8 {
  static constexpr const char* name = "portable";
  static constexpr int lanes = 4;
  typedef std::int32_t Sums __attribute__((vector_size(16)));
  struct Bytes {
    std::uint8_t of[16];
  };
  struct Value {
    Sums tap[4];
  };
  using Weight = Value;

  static Sums load(const std::int32_t* p) {
    Sums x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  static void store_sums(std::int32_t* p, Sums x) { std::memcpy(p, &x, sizeof(x)); }
  static Bytes load_bytes(const std::uint8_t* p) {
    Bytes x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  template <class T>
  static Value taps(const T* p, int apart) {  // the four inputs of four channels that stand `apart` values apart
    Value made;
    for (int tap = 0; tap < 4; ++tap)
      for (int lane = 0; lane < lanes; ++lane) made.tap[tap][lane] = p[lane * apart + tap];
    return made;
  }
  static Weight weight(const std::int8_t* p) { return taps(p, 4); }
  static Value value(const Bytes& x) { return taps(x.of, 4); }
  static Value broadcast(const std::uint8_t* p) { return taps(p, 0); }
  static Sums dot(Sums sum, const Value& v, const Weight& w) {
    return sum + v.tap[0] * w.tap[0] + v.tap[1] * w.tap[1] + v.tap[2] * w.tap[2] + v.tap[3] * w.tap[3];
  }
  static Sums multiply_add(Sums a, Sums b, Sums c) { return a * b + c; }
  static void interleave(const Bytes& a, const Bytes& b, const Bytes& c, Bytes (&to)[4]) {
    for (int i = 0; i < 16; ++i) {
      std::uint8_t* four = to[i / 4].of + i % 4 * 4;
      four[0] = a.of[i], four[1] = b.of[i], four[2] = c.of[i], four[3] = 0;
    }
  }

  // Rounded values are limited to 16 bits, as the other instruction sets keep them.
  static Sums round(Sums sum, const float* scale) {
    Sums to;
    for (int i = 0; i < lanes; ++i) {
      const std::int64_t y = i8::rounded(sum[i], static_cast<std::int64_t>(scale[i] * static_cast<float>(1 << i8::kShift)));
      to[i] = static_cast<std::int32_t>(y < -32768 ? -32768 : y > 32767 ? 32767 : y);
    }
    return to;
  }
  static Sums round_magic(Sums sum, const float* scale, const float*) { return round(sum - i8::kMagicBits, scale); }
  static Sums round_general(Sums sum, const float* scale) { return round(sum, scale); }

  static Bytes pack_shifted(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    Bytes to;
    for (int i = 0; i < 16; ++i) {
      const int y = zero + (i < 4 ? a : i < 8 ? b : i < 12 ? c : d)[i % 4];
      to.of[i] = static_cast<std::uint8_t>(y < low ? low : y > high ? high : y);
    }
    return to;
  }
  static Bytes pack(Sums a, Sums b, Sums c, Sums d) { return pack_shifted(a, b, c, d, 0, 0, 255); }

  template <int Vectors>
  static void store(std::uint8_t* target, long, const Bytes& x, int, int) {
    static_assert(Vectors == 4);
    std::memcpy(target, &x, sizeof(x));
  }
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int part) {
    Sums to;
    for (int i = 0; i < lanes; ++i) to[i] = p[part * lanes + i];
    return to;
  }
  static void store_real(float* target, Sums sum, const float* scale) {
    for (int i = 0; i < lanes; ++i) target[i] = static_cast<float>(sum[i]) * scale[i];
  }

  static constexpr int tile_pixels(int) { return 2; }
};

}  // namespace mobilenet
