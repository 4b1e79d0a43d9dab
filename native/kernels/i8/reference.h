// Every int8 kernel as plain loops on integers: the definition, and what tests/kernels_i8.cc compares the others with. It reads
// weights packed for 4 lanes, where every part is 16 channels in their order.
#pragma once

#include <cmath>

#include "requantize.h"

namespace mobilenet::i8::reference {

constexpr int kLanes = 4;
struct Plain;  // for byte_of

inline void product(const ProductCall& call) {
  const Requantize& to = call.requantize;
  for (int pixel = 0; pixel < call.pixels; ++pixel)
    for (int c = 0; c < call.width; ++c) {
      const int quads = call.full_panels * (kPanel / 4) + call.quads;
      const std::int8_t* weight = call.weights + c / kGrain * kGrain * call.tap_count * quads * 4L + c % kGrain * 4;
      std::int32_t sum = to.bias[c];
      for (int tap = 0; tap < call.tap_count; ++tap)
        for (int quad = 0; quad < quads; ++quad, weight += kGrain * 4)
          for (int i = 0; i < 4; ++i) {
            const int panel = quad / (kPanel / 4), k = quad % (kPanel / 4) * 4 + i;
            const bool full = panel < call.full_panels;
            const Tap& from = call.taps[tap];
            const std::uint8_t* source = full ? from.full + panel * from.panel : from.last;
            sum += source[static_cast<long>(pixel) * (full ? kPanel : call.narrow) * call.stride + k] * weight[i];
          }
      const long left = c / kGrain * kGrain * 4L * call.more_count + c % kGrain * 4;  // there may be no such weights
      for (int m = 0; m < call.more_count; ++m)
        for (int i = 0; i < 4; ++i) sum += call.quad(call.more[m], pixel)[i] * call.more_weights[left + m * kGrain * 4 + i];
      const long at = call.place(pixel) + c;
      if (call.residual) sum += call.factor[c] * call.residual[at];
      if (to.form == Form::real)
        static_cast<float*>(call.target)[at] = static_cast<float>(sum) * to.scale[c];
      else
        static_cast<std::uint8_t*>(call.target)[at] = byte_of<Plain>(sum, to, c);
    }
}

inline void depthwise(const DepthwiseCall& call) {
  for (int y = 0; y < call.rows; ++y) {
    const long* offset = call.offsets + y * (call.kernel + 1L);
    for (int pixel = 0; pixel < call.pixels; ++pixel)
      for (int c = 0; c < call.width; ++c) {
        std::int32_t sum = call.requantize.bias[c];
        for (int i = 0; i < call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j) {
            const long column = static_cast<long>(pixel) * call.stride + static_cast<long>(j) * call.dilation;
            const int weight = call.weight(call.kernel == 3 ? c / kGrain * 192 + j * 64 + c % kGrain * 4 + i
                                                            : (i * call.kernel + j) * kSlots + c);
            sum += call.row(offset + 1 + i)[column * call.source_pixel + c] * weight;
          }
        call.target[offset[0] + static_cast<long>(pixel) * call.width + c] = byte_of<Plain>(sum, call.requantize, c);
      }
  }
}

inline void accumulate(const std::uint8_t* pixels, long count, int width, std::int32_t* sums) {
  for (int c = 0; c < width; ++c)
    for (long pixel = 0; pixel < count; ++pixel) sums[c] += pixels[pixel * width + c];
}

inline void add(const AddCall& call) {
  for (long i = 0; i < call.count; ++i) call.target[i] = added<Plain>(call.a[i], call.b[i], call.by);
}

inline void resize(const ResizeCall& call) {
  for (int x = 0; x < call.pixels; ++x)
    for (int c = 0; c < call.width; ++c) {
      const long left = static_cast<long>(call.first[x]) * call.width + c, right = static_cast<long>(call.second[x]) * call.width + c;
      const float down = call.down, up = call.one - down, across = call.across[x], rest = call.one - across;
      float sum = static_cast<float>(call.above[left]) * up * rest;
      sum += static_cast<float>(call.below[left]) * down * rest;
      sum += static_cast<float>(call.above[right]) * up * across;
      sum += static_cast<float>(call.below[right]) * down * across;
      const long at = static_cast<long>(x) * call.width + c;
      if (!call.target)
        call.real[at] = (sum - call.zero) * call.scale;
      else
        call.target[at] = static_cast<std::uint8_t>(call.one > 1 ? std::nearbyint(sum / 65536) : sum + 0.5f);
    }
}

inline void emit(const EmitCall& call) {
  for (int c = 0; c < call.channels; ++c)
    for (int x = 0; x < call.pixels; ++x)
      if (const std::uint8_t byte = call.source[x * call.width + c]; call.target)
        call.target[c * call.plane + x] = static_cast<float>(byte - call.zero) * call.scale;
      else
        call.bytes[c * call.plane + x] = byte;
}

inline void pixels(const PixelCall& call) {
  for (int pixel = 0; pixel < call.pixels; ++pixel) {
    for (int color = 0; color < 3; ++color) {
      const float x = call.planes[color][pixel], factor = call.factor[color], quotient = x / factor;
      const double y = call.rounding == Rounding::even
                           ? std::nearbyint(static_cast<double>(x) * factor + call.offset[color])  // the product is exact
                           : std::trunc(quotient + std::copysign(0.5f, quotient)) + call.offset[color];
      call.target[pixel * 4 + color] = static_cast<std::uint8_t>(y < 0 ? 0 : y > 255 ? 255 : y);
    }
    call.target[pixel * 4 + 3] = 0;
  }
}

inline Kernels kernels() {
  return {.packing = {.lanes = kLanes, .wide = false},
          .product = product,
          .depthwise = depthwise,
          .accumulate = accumulate,
          .add = add,
          .resize = resize,
          .emit = emit,
          .pixels = pixels,
          .begin = nullptr,
          .end = nullptr};
}

}  // namespace mobilenet::i8::reference
