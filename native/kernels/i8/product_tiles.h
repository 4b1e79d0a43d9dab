// The product on a tile unit: 16 pixels x 16 channels x 64 input channels in one instruction.
//
// The products themselves then take a small part of the time. What is left is the way out of the tiles: sums are stored to
// memory, rounded and stored again. So each unit of 16 pixels rounds the sums of the unit before it between its own tile
// instructions, which the processor does not overlap with vector code otherwise.
//
// Weights are packed as for 16 lanes: a register of weights is a row of a tile.
#pragma once

#include <utility>

#include "product.h"
#include "tiles.h"

namespace mobilenet::i8 {

constexpr int kTilePixels = 16;
constexpr int kFewPixels = 4;     // and fewer are left to vectors,
constexpr int kFewQuads = 4;      // and so is a depth of so many groups of four channels: the way out of the tiles costs more
constexpr int kLongRow = 40;      // rows of so many pixels begin with a tile of their own; shorter ones follow without a gap
constexpr int kMaxTileStride = 2;  // pixels past the last are read, not used: they must lie within the arena's margin

// One part of a panel's channels, `Vectors` registers wide. `form` is known where rounding is fast; general stands for any.
template <class T, class V, int Vectors, Form form>
struct TilePart {
  const ProductCall& call;
  const std::int8_t* weights;
  int slot;
  alignas(64) std::int32_t sums[2][kTilePixels * Vectors * V::lanes];
  int waiting = 0, waiting_pixel = 0;  // pixels whose sums wait in `sums[turn ^ 1]`
  bool whole = false;                  // they are 16 of one row
  int turn = 0;

  TilePart(const ProductCall& c, const std::int8_t* w, int s) : call(c), weights(w), slot(s) {}

  void run() {
    const Factors<V, Vectors> by(call.requantize, slot);
    const int run = call.row_pixels >= kLongRow ? call.row_pixels : call.pixels;
    for (int first = 0; first < call.pixels; first += run)
      for (int pixel = first; pixel < first + run; pixel += kTilePixels) {
        unit(pixel, by);
        waiting = first + run - pixel < kTilePixels ? first + run - pixel : kTilePixels;
        waiting_pixel = pixel;
        if (call.more_count) T::fence(), add_more();
        whole = waiting == kTilePixels && (run == call.row_pixels || pixel % call.row_pixels + kTilePixels <= call.row_pixels);
        turn ^= 1;
      }
    T::fence();
    finish_rows();
  }

 private:
  static constexpr long kStep = Vectors * 64;  // bytes from four input channels' weights to the next

  // What is left of weights that are more than 8 bits hold, added to the unit's sums.
  [[gnu::noinline]] void add_more() {
    for (int p = 0; p < waiting; ++p) {
      std::int32_t* sum = sums[turn] + p * Vectors * V::lanes;
      const std::int8_t* w = call.more_weights + static_cast<long>(slot) * 4 * call.more_count;
      for (int i = 0; i < call.more_count; ++i) {
        const typename V::Value value = V::broadcast(call.quad(call.more[i], waiting_pixel + p));
        for (int v = 0; v < Vectors; ++v, w += V::lanes * 4)
          V::store_sums(sum + v * V::lanes, V::dot(V::load(sum + v * V::lanes), value, V::weight(w)));
      }
    }
  }

  // Rounds the unit before, row by row.
  void finish_rows() {
    for (int done = 0; done < waiting;) {
      const int pixel = waiting_pixel + done, left = call.row_pixels - pixel % call.row_pixels;
      const int count = waiting - done < left ? waiting - done : left;
      finish<V, Vectors>(call, slot, pixel, count, sums[turn ^ 1] + done * Vectors * V::lanes);
      done += count;
    }
  }

  // Rounds a share of the unit before: one of as many as there are registers.
  [[gnu::always_inline]] inline void round(int share, const Factors<V, Vectors>& by) {
    if (!whole) {
      if (share == 0) finish_rows();
      return;
    }
    constexpr int pixels = kTilePixels / Vectors;
    const int first = share * pixels;
    const std::int32_t* from = sums[turn ^ 1] + first * Vectors * V::lanes;
    if constexpr (form == Form::general) {
      finish<V, Vectors>(call, slot, waiting_pixel + first, pixels, from);
    } else {
      const long step = call.target_pixel;
      const int bytes = call.width - slot < Vectors * V::lanes ? call.width - slot : Vectors * V::lanes;
      std::uint8_t* target = static_cast<std::uint8_t*>(call.target) + call.place(waiting_pixel + first) + slot;
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
    if (call.full_panels == 0 && call.tap_count == 1)
      shallow(pixel, by, std::make_integer_sequence<int, Vectors>());
    else
      deep(pixel, by, std::make_integer_sequence<int, Vectors>());
    T::fence();
  }

  // One step over the depth. The sums of 16 channels are stored when those of the next 16 have begun: they are ready by then.
  template <int... vector>
  [[gnu::always_inline]] inline void shallow(int pixel, const Factors<V, Vectors>& by, std::integer_sequence<int, vector...>) {
    const long step = static_cast<long>(call.narrow) * call.stride;
    T::template load<kLastPixels>(call.taps[0].last + pixel * step, step);
    (
        [&] {
          begin<vector>();
          multiply<vector, kLastPixels, kLastWeights>(weights);
          if constexpr (vector > 0) put<vector - 1>();
          round(vector, by);
        }(),
        ...);
    put<Vectors - 1>();
  }

  // Several steps. Each takes all channels: a sum need not wait for its own step before.
  template <int... vector>
  [[gnu::always_inline]] inline void deep(int pixel, const Factors<V, Vectors>& by, std::integer_sequence<int, vector...>) {
    const std::int8_t* w = weights;
    const long full = static_cast<long>(kPanel) * call.stride, last = static_cast<long>(call.narrow) * call.stride;
    int share = 0;
    const auto round_next = [&] {
      if (share < Vectors) round(share++, by);
    };
    (begin<vector>(), ...);
    for (int tap = 0; tap < call.tap_count; ++tap) {
      const Tap& from = call.taps[tap];
      for (int panel = 0; panel < call.full_panels; ++panel, w += 16 * kStep) {
        T::template load<kPixelTile>(from.full + panel * from.panel + pixel * full, full);
        (multiply<vector, kPixelTile, kWeightTile>(w), ...);
        round_next();
      }
      T::template load<kLastPixels>(from.last + pixel * last, last);
      (multiply<vector, kLastPixels, kLastWeights>(w), ...);
      w += call.quads * kStep;
      round_next();
    }
    while (share < Vectors) round_next();
    (put<vector>(), ...);
  }

  template <int vector>
  [[gnu::always_inline]] inline void begin() {
    T::template load<vector>(call.requantize.bias + slot + vector * V::lanes, 0);
  }
  template <int vector, int pixels, int from>
  [[gnu::always_inline]] inline void multiply(const std::int8_t* w) {
    T::template load<from>(w + vector * 64, kStep);
    T::template multiply<vector, pixels, from>();
  }
  template <int vector>
  [[gnu::always_inline]] inline void put() {
    T::template store<vector>(sums[turn] + vector * V::lanes, kStep);
  }
};

template <class T, class V, int Vectors>
void tile_part(const ProductCall& call, const std::int8_t* weights, int slot) {
  switch (call.requantize.form) {
    case Form::plain: return TilePart<T, V, Vectors, Form::plain>(call, weights, slot).run();
    case Form::shifted: return TilePart<T, V, Vectors, Form::shifted>(call, weights, slot).run();
    case Form::proved: return TilePart<T, V, Vectors, Form::proved>(call, weights, slot).run();
    default: return TilePart<T, V, Vectors, Form::general>(call, weights, slot).run();
  }
}

template <class T, class V>
void product_tiles(const ProductCall& call) {
  const long quads = static_cast<long>(call.tap_count) * (call.full_panels * (kPanel / 4) + call.quads);
  const bool image = call.narrow == 4;
  if (image || call.pixels <= kFewPixels || quads <= kFewQuads || call.stride > kMaxTileStride) return product<V>(call);
  T::configure(call.quads);
  const std::int8_t* weights = call.weights;
  for (int slot = 0; slot < call.width;) {
    const int vectors = part_vectors(call.width - slot, V::lanes);
    if (vectors == 4) tile_part<T, V, 4>(call, weights, slot);
    if (vectors == 2) tile_part<T, V, 2>(call, weights, slot);
    if (vectors == 1) tile_part<T, V, 1>(call, weights, slot);
    weights += quads * vectors * V::lanes * 4;
    slot += vectors * V::lanes;
  }
}

}  // namespace mobilenet::i8
