// The product: 1x1 convolutions, and full k x k ones as a sum of 1x1 over the kernel's positions.
//
// A tile of pixels x channel blocks stays in registers over the whole depth: each input value is broadcast once and
// multiplied with all the tile's channels. Every output is the same chain of fused multiply-adds (bias first, channels in
// order) in every tile, so splitting the work differently, among threads or bands, never changes a bit.
//
// If the last block has 8 channels or fewer (24 = 16 + 8 is common) it is a *half*: a vector of 16 lanes then serves two
// pixels at once, one in each half; narrower vectors leave out the empty lanes.
#pragma once

#include "../kernels.h"
#include "../tiles.h"

namespace mobilenet {

template <class V, int Pixels, int Blocks, bool Half, bool Dense>
struct ProductTile {
  using Register = typename V::Register;
  static constexpr int per_block = kBlock / V::lanes;
  static constexpr int full = Blocks * per_block;                  // registers of a pixel's full blocks
  static constexpr bool paired = Half && V::lanes == kBlock;       // half blocks of two pixels share a register
  static constexpr int halves = Half && !paired ? per_block / 2 : 0;  // or have registers of their own
  static constexpr int own = full + halves, pairs = paired ? (Pixels + 1) / 2 : 0;
  static constexpr int width = (own + paired) * V::lanes;  // packed weights of one input channel

  static void run(const ProductCall& call, const float* weights, const float* bias, int block, int pixel) {
    const int step = Dense ? call.pixel_step : kBlock;  // a constant for 1x1: displacements cost nothing
    Register sum[Pixels][own + 1], pair[pairs + 1];
#pragma GCC unroll 16
    for (int r = 0; r < own; ++r) {
      const Register start = V::load(bias + r * V::lanes);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) sum[p][r] = start;
    }
    if constexpr (paired) {
      const Register start = V::twice(V::load(bias + full * V::lanes));
#pragma GCC unroll 16
      for (int p = 0; p < pairs; ++p) pair[p] = start;
    }
    for (int tap = 0; tap < (Dense ? call.tap_count : 1); ++tap) {
      const float* source = call.taps[tap] + static_cast<long>(pixel) * step;
      int depth = call.depth;
      do {
        int quads = depth < kBlock ? depth / 4 : kBlock / 4;
        const float* values = source;
        do {
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) multiply(values + k, step, weights + k * width, sum, pair);
          if (!Dense && pixel == 0) {  // the first tile finds the weights outside the cache: prefetch them 16 channels ahead
#pragma GCC unroll 16
            for (int line = 0; line < 4 * width; line += kBlock) __builtin_prefetch(weights + kBlock * width + line);
          }
          values += 4;
          weights += 4 * width;
        } while (--quads);
        source += call.source_block;
        depth -= kBlock;
      } while (depth > 0);
    }
    store(call, block, pixel, sum, pair);
  }

 private:
  // One input channel of every pixel.
  [[gnu::always_inline]] static inline void multiply(const float* values, int step, const float* weights,
                                                     Register (&sum)[Pixels][own + 1], Register (&pair)[pairs + 1]) {
    Register weight[own + paired];
#pragma GCC unroll 16
    for (int r = 0; r < own + paired; ++r) weight[r] = V::load(weights + r * V::lanes);
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; p += 2) {
      const Register value = V::broadcast(values[p * step]);
#pragma GCC unroll 16
      for (int r = 0; r < own; ++r) sum[p][r] = V::multiply_add(value, weight[r], sum[p][r]);
      Register both = value;
      if (p + 1 < Pixels) {
        const Register next = V::broadcast(values[(p + 1) * step]);
#pragma GCC unroll 16
        for (int r = 0; r < own; ++r) sum[p + 1][r] = V::multiply_add(next, weight[r], sum[p + 1][r]);
        if constexpr (paired) both = V::halves(value, next);
      }
      if constexpr (paired) pair[p / 2] = V::multiply_add(both, weight[own], pair[p / 2]);
    }
  }

  [[gnu::always_inline]] static inline void store(const ProductCall& call, int block, int pixel,
                                                  Register (&sum)[Pixels][own + 1], Register (&pair)[pairs + 1]) {
#pragma GCC unroll 16
    for (int r = 0; r < own; ++r)
      put(call, block + r / per_block, pixel * kBlock + r % per_block * V::lanes, [&](int p) { return sum[p][r]; });
    if constexpr (paired)
      put(call, block + Blocks, pixel * kBlock,
          [&](int p) { return p % 2 ? V::high_half(pair[p / 2]) : V::low_half(pair[p / 2]); });
    if constexpr (Half && !paired)  // the empty lanes
      for (int r = halves; r < per_block; ++r)
        for (int p = 0; p < Pixels; ++p)
          V::store(call.target + (block + Blocks) * call.target_block + (pixel + p) * kBlock + r * V::lanes, V::broadcast(0));
  }

  // One register of every pixel, clamped, with the residual.
  template <class Sum>
  [[gnu::always_inline]] static inline void put(const ProductCall& call, long block, long at, Sum sum_of) {
    const Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
    float* target = call.target + block * call.target_block + at;
    if (call.residual) {
      const float* residual = call.residual + block * call.residual_block + at;
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p)
        V::store(target + p * kBlock, V::add(V::clamp(sum_of(p), low, high), V::load(residual + p * kBlock)));
    } else {
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) V::store(target + p * kBlock, V::clamp(sum_of(p), low, high));
    }
  }
};

template <class V, int Blocks, bool Half, bool Dense>
void product_part(const ProductCall& call, const float* weights, const float* bias, int block) {
  each_tile<V::tile_pixels(Blocks, Half)>(call.pixels, [&](auto size, int pixel) {
    ProductTile<V, decltype(size)::value, Blocks, Half, Dense>::run(call, weights, bias, block, pixel);
  });
}

template <class V, bool Dense>
void product_panel(const ProductCall& call) {
  const float *weights = call.weights, *bias = call.bias;
  for (int block = 0; block < call.blocks;) {
    const int rest = call.blocks - block, blocks = rest < V::tile_blocks ? rest : V::tile_blocks;
    const bool half = call.half && blocks == rest;
    const long tap = static_cast<long>(call.depth) * packed_width(blocks, half, V::lanes);
    const float* first = weights + tap * call.first_tap;
    if constexpr (V::tile_blocks >= 3)
      if (blocks == 3) product_part<V, 3, false, Dense>(call, first, bias, block);
    if constexpr (V::tile_blocks >= 2)
      if (blocks == 2 && !half) product_part<V, 2, false, Dense>(call, first, bias, block);
    if (blocks == 1 && !half) product_part<V, 1, false, Dense>(call, first, bias, block);
    if constexpr (V::tile_blocks >= 2)
      if (blocks == 2 && half) product_part<V, 1, true, Dense>(call, first, bias, block);
    if (blocks == 1 && half) product_part<V, 0, true, Dense>(call, first, bias, block);
    weights += tap * call.all_taps;
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
