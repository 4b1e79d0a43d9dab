// What the bfloat16 products need of a processor's tile unit.
//
// There are eight tiles of at most 16 rows of 64 bytes. Sums and pixels have a row for each pixel, weights 16 rows: pairs of
// inputs. A type `T` has
//
//   T::configure(pixels, first_weights)  before the first use and at each change: tiles from `first_weights` on hold weights
//   T::load<tile>(from, stride)          rows `stride` bytes apart
//   T::store<tile>(to, stride)
//   T::multiply<sums, pixels, weights>() sums[pixel][output] += over 32 inputs, pixels * weights
//   T::fence()                           before vector code reads what tiles have stored, and the reverse
//   T::release()                         after the last use
#pragma once

namespace mobilenet::bf16 {

// A product holds sums of two tiles of pixels and two of outputs.
struct ProductTile {
  static constexpr int sums = 0, pixels = 4, weights = 6;
};

// An expansion holds sums of two tiles of pixels, one of which is on its way to memory, and up to four tiles of weights.
struct ExpandTile {
  static constexpr int sums = 0, pixels = 2, weights = 4;
};
constexpr int kHeldWeights = 4;

}  // namespace mobilenet::bf16
