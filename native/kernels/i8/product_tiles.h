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

// One part of a panel's channels, `Vectors` registers wide. `form` is known where rounding is fast; general stands for any.
template <class T, class V, int Vectors, Form form>
struct TilePart {
  const ProductCall& call;
  const std::int8_t* weights;
  int slot;
  int row_taps;  // kernel positions that one tile of the image holds side by side; 0 for any other source
  alignas(64) std::int32_t sums[2][kTilePixels * Vectors * V::lanes];
  int waiting = 0, waiting_pixel = 0;  // pixels whose sums wait in `sums[turn ^ 1]`
  int turn = 0;

  TilePart(const ProductCall& c, const std::int8_t* w, int s, int side) : call(c), weights(w), slot(s), row_taps(side) {}

  void run() {
    const Factors<V, Vectors> by(call.requantize, slot);
    for (int pixel = 0; pixel < call.pixels; pixel += kTilePixels) {
      unit(pixel, by);
      waiting = call.pixels - pixel < kTilePixels ? call.pixels - pixel : kTilePixels;
      waiting_pixel = pixel;
      turn ^= 1;
    }
    T::fence();
    finish<V, Vectors>(call, slot, waiting_pixel, waiting, sums[turn ^ 1]);
  }

 private:
  static constexpr long kStep = Vectors * 64;  // bytes from four input channels' weights to the next

  // Rounds a share of the unit before: all its units but the last are whole.
  template <int share>
  [[gnu::always_inline]] inline void round(const Factors<V, Vectors>& by) {
    constexpr int pixels = kTilePixels / Vectors, first = share * pixels;
    if (waiting == 0) return;
    const std::int32_t* from = sums[turn ^ 1] + first * Vectors * V::lanes;
    if constexpr (form == Form::general) {
      finish<V, Vectors>(call, slot, waiting_pixel + first, pixels, from);
    } else {
      const long step = call.target_pixel;
      const int bytes = call.width - slot < Vectors * V::lanes ? call.width - slot : Vectors * V::lanes;
      std::uint8_t* target = static_cast<std::uint8_t*>(call.target) + (waiting_pixel + first) * step + slot;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        typename V::Sums four[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) four[j] = V::load(from + (i * 4 + j) * V::lanes);
        V::template store<Vectors>(target + i * (4 / Vectors) * step, step, to_bytes<V, form>(four, call.requantize, by),
                                   4 / Vectors, bytes);
      }
    }
  }

  [[gnu::always_inline]] inline void unit(int pixel, const Factors<V, Vectors>& by) {
    T::fence();
    tile<0>(pixel), round<0>(by);
    if constexpr (Vectors > 1) tile<1>(pixel), round<1>(by);
    if constexpr (Vectors > 2) tile<2>(pixel), round<2>(by), tile<3>(pixel), round<3>(by);
    put<Vectors - 1>();
    T::fence();
  }

  template <int vector>
  [[gnu::always_inline]] inline void put() {
    T::template store<vector>(sums[turn] + vector * V::lanes, kStep);
  }

  // The sums of 16 channels over the whole depth. Those of the 16 before are stored only now: the unit has them ready by then.
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
  }
};

// Kernel positions of the image that lie side by side, four bytes each, in a row of the kernel; 0 if they do not.
template <class V>
int row_taps(const ProductCall& call) {
  int side = 1;
  while (side * side < call.tap_count) ++side;
  for (int tap = 1; tap < call.tap_count; ++tap)
    if (tap % side && call.taps[tap].last != call.taps[tap - 1].last + 4) return 0;
  return side * side == call.tap_count && side <= 16 ? side : 0;
}

template <class T, class V, int Vectors>
void tile_part(const ProductCall& call, const std::int8_t* weights, int slot, int side) {
  switch (call.requantize.form) {
    case Form::plain: return TilePart<T, V, Vectors, Form::plain>(call, weights, slot, side).run();
    case Form::shifted: return TilePart<T, V, Vectors, Form::shifted>(call, weights, slot, side).run();
    default: return TilePart<T, V, Vectors, Form::general>(call, weights, slot, side).run();
  }
}

template <class T, class V>
void product_tiles(const ProductCall& call) {
  const bool image = call.narrow == 4;
  const int side = image ? row_taps<V>(call) : 0;
  if (call.pixels <= kFewPixels || call.stride > kMaxTileStride || (image && side == 0)) return product<V>(call);
  T::configure(image ? side : call.quads);
  const std::int8_t* weights = call.weights;
  const long quads = static_cast<long>(call.tap_count) * (call.full_panels * (kPanel / 4) + call.quads);
  for (int slot = 0; slot < call.width;) {
    const int vectors = part_vectors(call.width - slot, V::lanes);
    if (vectors == 4) tile_part<T, V, 4>(call, weights, slot, side);
    if (vectors == 2) tile_part<T, V, 2>(call, weights, slot, side);
    if (vectors == 1) tile_part<T, V, 1>(call, weights, slot, side);
    weights += quads * vectors * V::lanes * 4;
    slot += vectors * V::lanes;
  }
}

}  // namespace mobilenet::i8
