// All int8 kernels over one vector type. Each instruction set's file includes this and is compiled with its own flags.
#pragma once

#include <cstddef>

#include "depthwise.h"
#include "product.h"

namespace mobilenet::i8 {

template <class V>
void accumulate(const std::uint8_t* pixels, long count, int width, std::int32_t* sums) {
  for (long pixel = 0; pixel < count; ++pixel, pixels += width)
    for (int c = 0; c < width; c += kGrain)
      for (int i = 0; i < kGrain; ++i) sums[c + i] += pixels[c + i];
}

// A register of a term's bytes, 20 bits finer and scaled.
template <class V>
[[gnu::always_inline]] inline typename V::Sums scaled(const std::uint8_t* bytes, const Term& term, typename V::Sums factor,
                                                      typename V::Sums shift) {
  const typename V::Sums x = V::multiply_add(V::widened(bytes), V::all(1 << kFinerShift), V::all(-term.zero * (1 << kFinerShift)));
  return V::fixed_point(x, factor, shift);
}

template <class V>
void add(const AddCall& call) {
  const Addition& by = call.by;
  if (by.rounding == Rounding::even || by.a.shift > 0 || by.b.shift > 0 || by.sum.shift > 0) {
    for (long i = 0; i < call.count; ++i) call.target[i] = added<V>(call.a[i], call.b[i], by);
    return;
  }
  const auto factor_a = V::all(by.a.factor), shift_a = V::all(by.a.shift), factor_b = V::all(by.b.factor),
             shift_b = V::all(by.b.shift), factor = V::all(by.sum.factor), shift = V::all(by.sum.shift);
  for (long i = 0; i < call.count; i += V::lanes) {
    const auto sum = V::sum(scaled<V>(call.a + i, by.a, factor_a, shift_a), scaled<V>(call.b + i, by.b, factor_b, shift_b));
    V::store_narrowed(call.target + i, V::sum(V::fixed_point(sum, factor, shift), V::all(by.sum.zero)));
  }
}

// `put(place, sums)`, the place counted in channels.
template <class V, class Put>
[[gnu::always_inline]] inline void blend(const ResizeCall& call, Put put) {
  const auto up = V::same(call.one - call.down), down = V::same(call.down);
  for (int c = 0; c < call.width; c += V::lanes) {
    auto above_left = up, below_left = up, above_right = up, below_right = up;  // set at the first pixel
    for (int x = 0, first = -1, second = -1; x < call.pixels; ++x) {
      if (call.first[x] != first || call.second[x] != second) {  // many target pixels lie between the same two
        first = call.first[x], second = call.second[x];
        const long left = static_cast<long>(first) * call.width + c, right = static_cast<long>(second) * call.width + c;
        above_left = V::times(V::reals(call.above + left), up), below_left = V::times(V::reals(call.below + left), down);
        above_right = V::times(V::reals(call.above + right), up), below_right = V::times(V::reals(call.below + right), down);
      }
      const auto across = V::same(call.across[x]), rest = V::same(call.one - call.across[x]);
      auto sum = V::plus(V::times(above_left, rest), V::times(below_left, rest));
      sum = V::plus(sum, V::times(above_right, across));
      put(static_cast<long>(x) * call.width + c, V::plus(sum, V::times(below_right, across)));
    }
  }
}

template <class V>
void resize(const ResizeCall& call) {
  using Floats = typename V::Floats;
  if (!call.target) {
    const Floats zero = V::same(-call.zero), scale = V::same(call.scale);
    return blend<V>(call, [&](long at, Floats sum) { V::store_floats(call.real + at, V::times(V::plus(sum, zero), scale)); });
  }
  if (call.one > 1) {
    const Floats part = V::same(1.0f / 65536);
    return blend<V>(call, [&](long at, Floats sum) { V::store_narrowed(call.target + at, V::nearest(V::times(sum, part))); });
  }
  const Floats half = V::same(0.5f);
  blend<V>(call, [&](long at, Floats sum) { V::store_narrowed(call.target + at, V::truncated(V::plus(sum, half))); });
}

// Four channels of some pixels at a time.
template <class V>
void emit_bytes(const EmitCall& call) {
  const auto low = V::all(255);
  for (int c = 0; c < call.channels; c += 4) {
    const int count = call.channels - c < 4 ? call.channels - c : 4;
    const std::uint8_t* source = call.source + c;
    std::uint8_t* target = call.bytes + c * call.plane;
    int x = 0;
    for (; x + V::lanes <= call.pixels; x += V::lanes) {
      auto four = V::strided(source + static_cast<long>(x) * call.width, call.width);
      for (int k = 0; k < count; ++k, four = V::shifted_down(four, 8)) V::store_narrowed(target + k * call.plane + x, V::both(four, low));
    }
    for (; x < call.pixels; ++x)
      for (int k = 0; k < count; ++k) target[k * call.plane + x] = source[static_cast<long>(x) * call.width + k];
  }
}

template <class V>
void emit(const EmitCall& call) {
  if (!call.target) return emit_bytes<V>(call);
  const auto scale = V::same(call.scale);
  const auto zero = V::all(-call.zero), low = V::all(255);
  for (int c = 0; c < call.channels; c += 4) {
    const int count = call.channels - c < 4 ? call.channels - c : 4;
    float* target = call.target + c * call.plane;
    int x = 0;
    for (; x + V::lanes <= call.pixels; x += V::lanes) {
      auto four = V::strided(call.source + static_cast<long>(x) * call.width + c, call.width);
      for (int k = 0; k < count; ++k, four = V::shifted_down(four, 8))
        V::store_floats(target + k * call.plane + x, V::times(V::converted(V::sum(V::both(four, low), zero)), scale));
    }
    for (; x < call.pixels; ++x)
      for (int k = 0; k < count; ++k)
        target[k * call.plane + x] = static_cast<float>(call.source[static_cast<long>(x) * call.width + c + k] - call.zero) * call.scale;
  }
}

template <class V, Rounding rounding>
void pixels(const PixelCall& call) {
  const auto color = [&](int which, const float* from) {
    if constexpr (rounding == Rounding::even)
      return V::color(from, call.factor[which], call.offset[which]);
    else
      return V::color_divided(from, call.factor[which], call.offset[which]);
  };
  const auto pixel = [&](const float* red, const float* green, const float* blue) {
    return V::either(V::either(color(0, red), V::shifted(color(1, green), 8)), V::shifted(color(2, blue), 16));
  };
  std::int32_t four[V::lanes];
  int first = 0;
  for (; first + V::lanes <= call.pixels; first += V::lanes) {
    V::store_sums(four, pixel(call.planes[0] + first, call.planes[1] + first, call.planes[2] + first));
    __builtin_memcpy(call.target + 4L * first, four, sizeof(four));
  }
  if (const int rest = call.pixels - first; rest > 0) {
    float last[3][V::lanes] = {};
    for (int of = 0; of < 3; ++of)
      for (int i = 0; i < rest; ++i) last[of][i] = call.planes[of][first + i];
    V::store_sums(four, pixel(last[0], last[1], last[2]));
    __builtin_memcpy(call.target + 4L * first, four, static_cast<std::size_t>(rest) * 4);
  }
}

template <class V>
void pixels(const PixelCall& call) {
  call.rounding == Rounding::even ? pixels<V, Rounding::even>(call) : pixels<V, Rounding::divided>(call);
}

template <class V>
constexpr Kernels kernels() {
  return {.packing = {.lanes = V::lanes, .wide = V::weight_bytes > 4 * V::lanes},
          .product = product<V>,
          .depthwise = depthwise<V>,
          .accumulate = accumulate<V>,
          .add = add<V>,
          .resize = resize<V>,
          .emit = emit<V>,
          .pixels = pixels<V>,
          .begin = nullptr,
          .end = nullptr};
}

}  // namespace mobilenet::i8
