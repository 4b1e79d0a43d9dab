// The proof that one fused multiply-add rounds sums as TFLite's fixed point does.
#pragma once

#include <cstdint>

namespace mobilenet::i8 {

// Every sum of some channels with one multiplier: the multiplier, the sums, and the results that are not all the same byte in the
// end, counted from the zero point.
struct Scaling {
  std::int32_t fraction, exponent;  // fraction * 2^(exponent - 31)
  std::int64_t least, largest;      // sums
  int low, high;                    // results
};

// The nearest integer to fma(sum, scale, offset with the sum's sign).
struct Fused {
  bool proved;  // equal to `fixed_point` for every sum, between `low` and `high`
  float scale, offset;
};

// Looks for a scale and an offset, and proves them.
//
// Both functions never fall as the sum grows, so they are equal everywhere if and only if they are equal on both sides of each of
// the steps between `low` and `high`: at most 255, whatever the number of sums.
Fused fused(const Scaling& scaling);

}  // namespace mobilenet::i8
