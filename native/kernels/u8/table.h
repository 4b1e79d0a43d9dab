// The resize's two passes over a type of sums. Each instruction set's file includes this and is compiled with its own flags.
#pragma once

#include "calls.h"

namespace mobilenet::u8 {

template <class V>
void blend_row(const RowCall& call) {
  const std::int16_t* weights = call.weights;
  for (int i = 0; i < call.count; ++i) {
    const std::uint8_t* pixels = call.pixels + static_cast<long>(call.starts[i]) * kPixelBytes;
    typename V::Sums sums = V::none();
    for (int group = 0; group < call.groups; ++group, pixels += kGroup * kPixelBytes, weights += 2 * kGroup)
      sums = V::add_products(sums, pixels, weights);
    V::store_pixel(call.target + static_cast<long>(i) * kPixelBytes, sums);
  }
}

// A few bytes of a row at a time, so that their sums stay in registers.
template <class V>
void blend_rows(const ColumnCall& call) {
  long x = 0;
  for (; x + V::lanes <= call.bytes; x += V::lanes) {
    typename V::Lanes sums = V::half();
    for (int tap = 0; tap < call.taps; ++tap) sums = V::add_scaled(sums, call.rows[tap] + x, call.weights[tap]);
    V::store_lanes(call.target + x, sums);
  }
  for (; x < call.bytes; ++x) {
    std::int32_t sum = 1 << (kWeightBits - 1);
    for (int tap = 0; tap < call.taps; ++tap) sum += call.rows[tap][x] * call.weights[tap];
    sum >>= kWeightBits;
    call.target[x] = static_cast<std::uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
  }
}

template <class V>
constexpr Kernels kernels() {
  return {.blend_row = blend_row<V>, .blend_rows = blend_rows<V>};
}

}  // namespace mobilenet::u8
