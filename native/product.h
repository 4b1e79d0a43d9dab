// The product: 1x1 convolutions, and full k x k ones as a sum of 1x1 over the kernel's positions.
//
// A tile of pixels x channel blocks stays in registers over the whole depth: each input value is broadcast once and meets
// all the tile's channels. Every output is the same chain of fused multiply-adds (bias first, channels in order) in
// whatever tile it lands, so splitting the work differently, among threads or bands, never changes a bit.
#pragma once

#include "kernels.h"

namespace mobilenet {

template <class V, int Pixels, int Blocks, bool Dense>
void product_tile(const ProductCall& call, const float* weights, const float* bias, int block, int pixel) {
  using Register = typename V::Register;
  constexpr int per_block = kBlock / V::lanes, registers = Blocks * per_block;
  const int step = Dense ? call.pixel_step : kBlock;  // a constant for 1x1: displacements cost nothing
  Register sum[Pixels][registers];
#pragma GCC unroll 16
  for (int r = 0; r < registers; ++r) {
    const Register start = V::load(bias + r * V::lanes);
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) sum[p][r] = start;
  }
  for (int tap = 0; tap < (Dense ? call.tap_count : 1); ++tap) {
    const float* source = call.taps[tap] + static_cast<long>(pixel) * step;
    int depth = call.depth;
    do {
      int quads = depth < kBlock ? depth / 4 : kBlock / 4;
      const float* values = source;
      do {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          Register weight[registers];
#pragma GCC unroll 16
          for (int r = 0; r < registers; ++r) weight[r] = V::load(weights + (k * registers + r) * V::lanes);
#pragma GCC unroll 16
          for (int p = 0; p < Pixels; ++p) {
            const Register value = V::broadcast(values[p * step + k]);
#pragma GCC unroll 16
            for (int r = 0; r < registers; ++r) sum[p][r] = V::multiply_add(value, weight[r], sum[p][r]);
          }
        }
        values += 4;
        weights += 4 * registers * V::lanes;
      } while (--quads);
      source += call.source_block;
      depth -= kBlock;
    } while (depth > 0);
  }
  const Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
#pragma GCC unroll 16
  for (int r = 0; r < registers; ++r) {
    const long lane = r % per_block * V::lanes, row = block + r / per_block;
    float* target = call.target + row * call.target_block + pixel * kBlock + lane;
    if (call.residual) {
      const float* residual = call.residual + row * call.residual_block + pixel * kBlock + lane;
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p)
        V::store(target + p * kBlock, V::add(V::clamp(sum[p][r], low, high), V::load(residual + p * kBlock)));
    } else {
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) V::store(target + p * kBlock, V::clamp(sum[p][r], low, high));
    }
  }
}

// Pixels split evenly over the fewest tiles; the tile's size is known when compiled.
template <class V, int Blocks, bool Dense>
struct ProductTiles {
  using Tile = void (*)(const ProductCall&, const float*, const float*, int, int);
  static constexpr int most = V::tile_pixels(Blocks);

  template <int... Pixels>
  struct Sizes {
    static constexpr Tile table[] = {product_tile<V, Pixels + 1, Blocks, Dense>...};
  };
  template <int Count, int... Pixels>
  struct CountUp : CountUp<Count - 1, Count - 1, Pixels...> {};
  template <int... Pixels>
  struct CountUp<0, Pixels...> : Sizes<Pixels...> {};

  static void run(const ProductCall& call, const float* weights, const float* bias, int block) {
    const int tiles = (call.pixels + most - 1) / most;
    const int size = call.pixels / tiles, longer = call.pixels % tiles;
    for (int tile = 0, pixel = 0; tile < tiles; ++tile) {
      const int pixels = size + (tile < longer);
      CountUp<most>::table[pixels - 1](call, weights, bias, block, pixel);
      pixel += pixels;
    }
  }
};

template <class V, bool Dense>
void product_panel(const ProductCall& call) {
  const float *weights = call.weights, *bias = call.bias;
  const long tap = static_cast<long>(call.depth) * kBlock;  // weights of one kernel position and one channel block
  for (int block = 0; block < call.blocks;) {
    const int rest = call.blocks - block;
    const int blocks = rest < V::tile_blocks ? rest : V::tile_blocks;
    const float* first = weights + tap * call.first_tap * blocks;
    if constexpr (V::tile_blocks >= 3)
      if (blocks == 3) ProductTiles<V, 3, Dense>::run(call, first, bias, block);
    if constexpr (V::tile_blocks >= 2)
      if (blocks == 2) ProductTiles<V, 2, Dense>::run(call, first, bias, block);
    if (blocks == 1) ProductTiles<V, 1, Dense>::run(call, first, bias, block);
    weights += tap * call.all_taps * blocks;
    bias += blocks * kBlock;
    block += blocks;
  }
}

template <class V>
void product(const ProductCall& call) {
  if (call.tap_count == 1 && call.pixel_step == kBlock)
    product_panel<V, false>(call);
  else
    product_panel<V, true>(call);
}

}  // namespace mobilenet
