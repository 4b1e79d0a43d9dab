// The product on a tile unit: 16 pixels x 16 outputs x 32 inputs in one instruction, twice two of them at once.
//
// The products take a small part of the time. What is left is the way out of the tiles: sums are stored to memory, clamped and
// rounded. Each unit of up to 32 pixels does that for the unit before it between its own tile instructions, which the processor
// does not overlap with vector code otherwise.
#pragma once

#include "calls.h"
#include "tiles.h"

namespace mobilenet::bf16 {

// The 16 channels of pixel `at`, as the float32 of a vector type.
template <class V>
inline typename V::Register load(Sixteen from, long at, int lane) {
  const std::byte* pixel = from.first + at * kPixel;
  return from.real ? V::load(reinterpret_cast<const float*>(pixel) + lane) : V::widen(reinterpret_cast<const Value*>(pixel) + lane);
}

template <class V>
inline void store(Sixteen to, long at, int lane, typename V::Register value) {
  std::byte* pixel = to.first + at * kPixel;
  to.real ? V::store(reinterpret_cast<float*>(pixel) + lane, value) : V::narrow(reinterpret_cast<Value*>(pixel) + lane, value);
}

template <class T, class V, int Halves>
struct Product {
  static constexpr long kTileFloats = kTileSide * kTileSide;

  const ProductCall& call;
  int side = 0;  // pixels of a tile
  alignas(64) float sums[2][4 * kTileFloats];
  int turn = 0;
  int waiting = 0, done = 0;  // pixels whose sums wait in `sums[turn ^ 1]`, and how many of them are finished
  int begin[2] = {0, 0};      // where the two tiles that wait begin

  explicit Product(const ProductCall& c) : call(c) {}

  // Tiles are of one size. They overlap where it does not divide the pixels: what is computed twice is the same.
  void run() {
    const int tiles = (call.pixels + kTileSide - 1) / kTileSide;
    side = (call.pixels + tiles - 1) / tiles;
    T::configure(side, ProductTile::weights);
    const auto place = [&](int tile) { return tile * side < call.pixels - side ? tile * side : call.pixels - side; };
    for (int tile = 0; tile < tiles; tile += 2) {
      const int first = place(tile), second = place(tile + 1);
      tile + 1 < tiles ? unit<2>(first, second) : unit<1>(first, first);
      waiting = tile + 1 < tiles ? 2 * side : side;
      done = 0, begin[0] = first, begin[1] = second, turn ^= 1;
    }
    while (done < waiting) finish();
  }

 private:
  template <int Tiles>
  void unit(int first, int second) {
    const int steps = call.tap_count * call.depth, share = (waiting + steps - 1) / steps;
    const Value* weights = call.weights;
    const long step = call.stride * kPixel;
    T::fence();
    T::template load<0>(call.bias, 0);
    if constexpr (Halves > 1) T::template load<1>(call.bias + kTileSide, 0);
    if constexpr (Tiles > 1) T::template load<2>(call.bias, 0);
    if constexpr (Tiles > 1 && Halves > 1) T::template load<3>(call.bias + kTileSide, 0);
    for (int tap = 0; tap < call.tap_count; ++tap) {
      const std::byte* pixels = call.taps[tap].first;
      for (int block = 0; block < call.depth; ++block, pixels += call.taps[tap].block, weights += 2 * kTileWeights) {
        T::template load<4>(pixels + first * step, step);
        T::template load<6>(weights, kPixel);
        T::template multiply<0, 4, 6>();
        if constexpr (Halves > 1) {
          T::template load<7>(weights + kTileWeights, kPixel);
          T::template multiply<1, 4, 7>();
        }
        if constexpr (Tiles > 1) {
          T::template load<5>(pixels + second * step, step);
          T::template multiply<2, 5, 6>();
          if constexpr (Halves > 1) T::template multiply<3, 5, 7>();
        }
        for (int i = 0; i < share && done < waiting; ++i) finish();
      }
    }
    float* to = sums[turn];
    T::template store<0>(to, kPixel);
    if constexpr (Halves > 1) T::template store<1>(to + kTileFloats, kPixel);
    if constexpr (Tiles > 1) T::template store<2>(to + 2 * kTileFloats, kPixel);
    if constexpr (Tiles > 1 && Halves > 1) T::template store<3>(to + 3 * kTileFloats, kPixel);
    T::fence();
  }

  // The next pixel that waits.
  void finish() {
    const int tile = done >= side, row = done - tile * side;
    const long pixel = begin[tile] + row;
    const typename V::Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
    const float* from = sums[turn ^ 1] + tile * 2 * kTileFloats + row * kTileSide;
    for (int half = 0; half < 2; ++half, from += kTileFloats) {
      if (!call.target[half].first) continue;
      for (int lane = 0; lane < kTileSide; lane += V::lanes) {
        if (half >= Halves) {
          store<V>(call.target[half], pixel, lane, V::broadcast(0));
          continue;
        }
        typename V::Register value = V::clamp(V::load(from + lane), low, high);
        if (call.residual[half].first) value = V::add(value, load<V>(call.residual[half], pixel, lane));
        store<V>(call.target[half], pixel, lane, value);
      }
    }
    ++done;
  }
};

template <class T, class V>
void product(const ProductCall& call) {
  call.halves > 1 ? Product<T, V, 2>(call).run() : Product<T, V, 1>(call).run();
}

}  // namespace mobilenet::bf16
