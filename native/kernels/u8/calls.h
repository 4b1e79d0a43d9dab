// Kernels on pixels of 8 bits: the two passes of a resize, exactly as Pillow computes them (ImagingResample). Each pass rounds to
// 8 bits; a weight is an integer of kWeightBits fractional bits, so sums are exact in any order.
#pragma once

#include <cstdint>

namespace mobilenet::u8 {

constexpr int kPixelBytes = 4;   // red, green, blue, and one byte that is carried along
constexpr int kGroup = 4;        // taps that a kernel reads at once
constexpr int kWeightBits = 22;
constexpr int kLowBits = 15;     // of a weight: the part that a product of 16 bits can take

// One row made narrower or wider. A tap's pixel is read even if its weight is 0.
struct RowCall {
  const std::uint8_t* pixels;
  const int* starts;            // the first tap's pixel, for each target pixel
  const std::int16_t* weights;  // for each target pixel and group: the low bits of 4 weights, then their high bits
  int groups;                   // of each target pixel
  std::uint8_t* target;
  int count;                    // target pixels
};

// One row from several.
struct ColumnCall {
  const std::uint8_t* const* rows;
  const std::int32_t* weights;
  int taps;
  std::uint8_t* target;
  long bytes;  // of a row
};

struct Kernels {
  void (*blend_row)(const RowCall&);
  void (*blend_rows)(const ColumnCall&);
};

}  // namespace mobilenet::u8
