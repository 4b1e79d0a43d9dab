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

template <class V>
void pixels(const PixelCall& call) {
  const auto pixel = [&](const float* red, const float* green, const float* blue) {
    return V::either(V::either(V::color(red, call.factor[0], call.offset[0]),
                               V::shifted(V::color(green, call.factor[1], call.offset[1]), 8)),
                     V::shifted(V::color(blue, call.factor[2], call.offset[2]), 16));
  };
  std::int32_t four[V::lanes];
  int first = 0;
  for (; first + V::lanes <= call.pixels; first += V::lanes) {
    V::store_sums(four, pixel(call.planes[0] + first, call.planes[1] + first, call.planes[2] + first));
    __builtin_memcpy(call.target + 4L * first, four, sizeof(four));
  }
  if (const int rest = call.pixels - first; rest > 0) {
    float last[3][V::lanes] = {};
    for (int color = 0; color < 3; ++color)
      for (int i = 0; i < rest; ++i) last[color][i] = call.planes[color][first + i];
    V::store_sums(four, pixel(last[0], last[1], last[2]));
    __builtin_memcpy(call.target + 4L * first, four, static_cast<std::size_t>(rest) * 4);
  }
}

template <class V>
constexpr Kernels kernels() {
  return {.lanes = V::lanes,
          .product = product<V>,
          .depthwise = depthwise<V>,
          .accumulate = accumulate<V>,
          .pixels = pixels<V>,
          .begin = nullptr,
          .end = nullptr};
}

}  // namespace mobilenet::i8
