// What product_tiles.h needs of a processor's tile unit.
//
// There are eight tiles of at most 16 rows of 64 bytes. Four of them hold sums, two the pixels and two the weights of one step
// over the depth: 64 input channels, or fewer in the last step, whose tiles are narrower. A type `T` has
//
//   T::configure(quads)                  before the first use: groups of four input channels in the last step
//   T::load<tile>(from, stride)          rows `stride` bytes apart
//   T::store<tile>(to, stride)
//   T::multiply<sums, pixels, weights>() sums[pixel][channel] += over the depth, pixels' bytes * weights
//   T::fence()                           before vector code reads what tiles have stored, and the reverse
#pragma once

namespace mobilenet::i8 {

enum Tile : int { kSums0, kSums1, kSums2, kSums3, kPixelTile, kLastPixels, kWeightTile, kLastWeights };

}  // namespace mobilenet::i8
