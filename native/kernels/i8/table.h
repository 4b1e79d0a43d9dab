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
  constexpr int chunk = 64;  // pixels at a time, so that each color is one loop over lanes
  constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: a double of this size has no bits behind the point
  for (int first = 0; first < call.pixels; first += chunk) {
    const int count = call.pixels - first < chunk ? call.pixels - first : chunk;
    std::int32_t four[chunk] = {};
    for (int color = 0; color < 3; ++color) {
      const float* plane = call.planes[color] + first;
      const double factor = call.factor[color], offset = call.offset[color];
      for (int i = 0; i < count; ++i) {
        const double y = plane[i] * factor + offset;  // the product of two floats is exact
        const double limited = y > 0 ? (y < 255 ? y : 255) : 0;
        const double rounded = limited + magic - magic;
        four[i] |= static_cast<std::int32_t>(rounded) << (8 * color);
      }
    }
    __builtin_memcpy(call.target + 4L * first, four, static_cast<std::size_t>(count) * 4);
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
