// The product on a tile unit: 16 pixels x 16 channels x 64 input channels in one instruction.
//
// The products themselves then take a small part of the time. What is left is the way out of the tiles: sums are stored to
// memory, rounded and stored again. So each unit of 16 pixels rounds the sums of the unit before it between its own tile
// instructions, which the processor does not overlap with vector code otherwise.
//
// Weights are packed as for 16 lanes: a register of weights is a row of a tile.
#pragma once

#include "product.h"
#include "tiles.h"

namespace mobilenet::i8 {

constexpr int kTilePixels = 16;
constexpr int kFewPixels = 4;     // and fewer are left to vectors
constexpr int kMaxTileStride = 2;  // pixels past the last are read, not used: they must lie within the arena's margin

// One part of a panel's channels, `Vectors` registers wide.
template <class T, class V, int Vectors>
struct TilePart {
  const ProductCall& call;
  const std::int8_t* weights;
  int slot;
  int row_taps;  // kernel positions that one tile of the image holds side by side; 0 for any other source
  alignas(64) std::int32_t sums[2][kTilePixels * Vectors * V::lanes];
  int waiting = 0, waiting_pixel = 0;  // pixels whose sums wait in `sums[turn ^ 1]`
  int turn = 0;

  void run() {
    for (int pixel = 0; pixel < call.pixels; pixel += kTilePixels) {
      unit(pixel);
      waiting = call.pixels - pixel < kTilePixels ? call.pixels - pixel : kTilePixels;
      waiting_pixel = pixel;
      turn ^= 1;
    }
    T::fence();
    round(0, kTilePixels);
  }

 private:
  static constexpr long kStep = Vectors * 64;  // bytes from four input channels' weights to the next

  // Rounds pixels `from` to `to` of the unit before.
  [[gnu::always_inline]] inline void round(int from, int to) {
    if (to > waiting) to = waiting;
    if (from < to)
      finish<V, Vectors>(call, slot, waiting_pixel + from, to - from, sums[turn ^ 1] + from * Vectors * V::lanes);
  }

  [[gnu::always_inline]] inline void unit(int pixel) {
    T::fence();
    tile<0>(pixel);
    if constexpr (Vectors > 1) tile<1>(pixel);
    if constexpr (Vectors > 2) tile<2>(pixel), tile<3>(pixel);
    put<Vectors - 1>();
    T::fence();
  }

  template <int vector>
  [[gnu::always_inline]] inline void put() {
    T::template store<vector>(sums[turn] + vector * V::lanes, kStep);
  }

  // 16 channels: their sums over the whole depth, then a share of the rounding.
  template <int vector>
  [[gnu::always_inline]] inline void tile(int pixel) {
    T::template load<vector>(call.requantize.bias + slot + vector * V::lanes, 0);
    const std::int8_t* w = weights + vector * 64;
    const long full = static_cast<long>(kPanel) * call.stride, last = static_cast<long>(call.narrow) * call.stride;
    for (int tap = 0; tap < call.tap_count; tap += row_taps ? row_taps : 1) {
      const Tap& from = call.taps[tap];
      for (int panel = 0; panel < call.full_panels; ++panel, w += 16 * kStep) {
        T::template load<kPixelTile>(from.full + panel * from.panel + pixel * full, full);
        T::template load<kWeightTile>(w, kStep);
        T::template multiply<vector, kPixelTile, kWeightTile>();
      }
      T::template load<kLastPixels>(from.last + pixel * last, last);
      T::template load<kLastWeights>(w, kStep);
      T::template multiply<vector, kLastPixels, kLastWeights>();
      w += (row_taps ? row_taps : call.quads) * kStep;
    }
    if constexpr (vector > 0) put<vector - 1>();
    round(vector * kTilePixels / Vectors, (vector + 1) * kTilePixels / Vectors);
  }
};

// Kernel positions of the image that lie side by side, four bytes each, in a row of the kernel; 0 if they do not.
inline int row_taps(const ProductCall& call) {
  int side = 1;
  while (side * side < call.tap_count) ++side;
  for (int tap = 1; tap < call.tap_count; ++tap)
    if (tap % side && call.taps[tap].last != call.taps[tap - 1].last + 4) return 0;
  return side * side == call.tap_count && side <= 16 ? side : 0;
}

template <class T, class V>
void product_tiles(const ProductCall& call) {
  const bool image = call.narrow == 4;
  const int side = image ? row_taps(call) : 0;
  if (call.pixels <= kFewPixels || call.stride > kMaxTileStride || (image && side == 0)) return product<V>(call);
  T::configure(image ? side : call.quads);
  const std::int8_t* weights = call.weights;
  const long quads = static_cast<long>(call.tap_count) * (call.full_panels * (kPanel / 4) + call.quads);
  for (int slot = 0; slot < call.width;) {
    const int vectors = part_vectors(call.width - slot, V::lanes);
    if (vectors == 4) TilePart<T, V, 4>{call, weights, slot, side}.run();
    if (vectors == 2) TilePart<T, V, 2>{call, weights, slot, side}.run();
    if (vectors == 1) TilePart<T, V, 1>{call, weights, slot, side}.run();
    weights += quads * vectors * V::lanes * 4;
    slot += vectors * V::lanes;
  }
}

}  // namespace mobilenet::i8
