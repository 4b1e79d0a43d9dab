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
  return {.lanes = V::lanes,
          .product = product<V>,
          .depthwise = depthwise<V>,
          .accumulate = accumulate<V>,
          .add = add<V>,
          .pixels = pixels<V>,
          .begin = nullptr,
          .end = nullptr};
}

}  // namespace mobilenet::i8
