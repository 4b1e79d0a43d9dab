// The expansion and the depthwise convolution of a fused block.
//
// The sums of the expansion go from their tiles straight into the ring: they begin at the bias, and the depthwise convolution
// clamps what it reads. The expansion of 16 channels runs between the columns of the depthwise convolution of the 16 before.
#pragma once

#include "depthwise.h"

namespace mobilenet::bf16 {

// 16 channels of the rows to expand, tile by tile.
template <class T>
class Expansion {
 public:
  Expansion(const ExpandDepthwiseCall& c, int tile_side, int tiles_of_row) : call_(c), side_(tile_side), tiles_(tiles_of_row) {}

  void begin(int group) {
    weights_ = call_.weights + static_cast<long>(group / 2 * call_.depth * 2 + group % 2) * kTileWeights;
    bias_ = call_.bias + group * kTileSide;
    place_ = group % call_.places * call_.ring_block;
    row_ = call_.from, tile_ = 0, turn_ = 0, last_ = nullptr;
    T::fence();
    hold<0>(), hold<1>(), hold<2>(), hold<3>();
    find_row();
  }

  [[gnu::always_inline]] inline void step() {
    if (row_ >= call_.to) return;
    const int pixel = tile_ + 1 < tiles_ ? tile_ * side_ : call_.width - side_;
    const std::byte* from = source_ + pixel * kPixel;
    turn_ ? tile<1>(from) : tile<0>(from);
    turn_ ^= 1;
    last_ = target_ + pixel * kPixel;
    if (++tile_ == tiles_) {
      tile_ = 0, ++row_;
      find_row();
    }
  }

  void finish() {
    while (row_ < call_.to) step();
    if (last_) turn_ ? T::template store<0>(last_, kPixel) : T::template store<1>(last_, kPixel);
    last_ = nullptr;
    T::fence();
  }

 private:
  static constexpr long kStep = 2 * kTileWeights;  // from 32 inputs' weights to the next

  template <int place>
  void hold() {
    if (place < call_.depth) T::template load<ExpandTile::weights + place>(weights_ + place * kStep, kPixel);
  }

  void find_row() {
    if (row_ >= call_.to) return;
    source_ = call_.source.row(row_);
    target_ = call_.ring.row(row_) + place_;
  }

  // Sums that follow each other alternate between two tiles; those before are stored while these are computed.
  template <int sums>
  [[gnu::always_inline]] inline void tile(const std::byte* from) {
    T::template load<sums>(bias_, 0);
    T::template load<2>(from, kPixel);
    T::template multiply<sums, 2, 4>();
    const int depth = call_.depth;
    if (depth > 1) {
      T::template load<3>(from + call_.source_block, kPixel);
      T::template multiply<sums, 3, 5>();
    }
    if (depth > 2) {
      T::template load<2>(from + 2 * call_.source_block, kPixel);
      T::template multiply<sums, 2, 6>();
    }
    if (depth > 3) {
      T::template load<3>(from + 3 * call_.source_block, kPixel);
      T::template multiply<sums, 3, 7>();
    }
    if (depth > kHeldWeights) {  // the last tile of weights is loaded in turns
      for (int block = kHeldWeights; block < depth; ++block) {
        T::template load<7>(weights_ + block * kStep, kPixel);
        T::template load<2>(from + block * call_.source_block, kPixel);
        T::template multiply<sums, 2, 7>();
      }
      T::template load<7>(weights_ + (kHeldWeights - 1) * kStep, kPixel);
    }
    if (last_) T::template store<1 - sums>(last_, kPixel);
  }

  const ExpandDepthwiseCall& call_;
  const int side_, tiles_;
  const Value* weights_ = nullptr;
  const float* bias_ = nullptr;
  long place_ = 0;
  int row_ = 0, tile_ = 0, turn_ = 0;
  const std::byte* source_ = nullptr;
  std::byte *target_ = nullptr, *last_ = nullptr;
};

template <class T, class V>
void expand_depthwise(const ExpandDepthwiseCall& call) {
  const int tiles = (call.width + kTileSide - 1) / kTileSide, side = (call.width + tiles - 1) / tiles;
  T::configure(side, ExpandTile::weights);
  Expansion<T> expansion(call, side, tiles);
  const long window = static_cast<long>(call.depthwise.kernel) * call.depthwise.kernel * kBlock;
  if (call.first < call.last) expansion.begin(call.first), expansion.finish();
  for (int group = call.first; group < call.last; ++group) {
    const bool more = group + 1 < call.last;
    DepthwiseCall made = call.depthwise;
    made.source.first += group % call.places * call.ring_block;
    made.weights += group * window;
    made.bias += group * kBlock;
    made.target.first += made.target.real ? group * call.target_block : group / 2 * call.target_block + group % 2 * (kPixel / 2);
    if (more && call.places > 1) {
      expansion.begin(group + 1);
      depthwise_from<V, Source<V, true, true>>(made, expansion);
      expansion.finish();
    } else {
      Nothing background;
      depthwise_from<V, Source<V, true, true>>(made, background);
      if (more) expansion.begin(group + 1), expansion.finish();
    }
  }
}

}  // namespace mobilenet::bf16
