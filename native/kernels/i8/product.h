// The product of bytes and int8 weights: 1x1 convolutions, full k x k ones as a sum of 1x1 over the kernel's positions, and the
// stem, whose source is the image with four bytes a pixel.
//
// A tile of pixels x channels stays in registers over the whole depth: four input channels of a pixel are broadcast at once and
// multiplied with the weights of all the tile's channels, each sum taking four products. Integer sums are exact in any order.
#pragma once

#include "../tiles.h"
#include "requantize.h"

namespace mobilenet::i8 {

// Sums of some pixels of one row, from memory, in any form: with a residual, or to real results.
template <class V, int Vectors>
[[gnu::noinline]] void finish(const ProductCall& call, int slot, int pixel, int pixels, const std::int32_t* sums) {
  using Sums = typename V::Sums;
  constexpr int per_register = 4 / Vectors;
  const Requantize& to = call.requantize;
  const long step = call.target_pixel;
  if (to.form == Form::real) {
    float* target = static_cast<float*>(call.target) + call.place(pixel) + slot;
    for (int p = 0; p < pixels; ++p)
      for (int v = 0; v < Vectors && slot + v * V::lanes < call.width; ++v)
        V::store_real(target + p * step + v * V::lanes, V::load(sums + (p * Vectors + v) * V::lanes),
                      to.scale + slot + v * V::lanes);
    return;
  }
  const int bytes = call.width - slot < Vectors * V::lanes ? call.width - slot : Vectors * V::lanes;
  std::uint8_t* target = static_cast<std::uint8_t*>(call.target) + call.place(pixel) + slot;
  const std::uint8_t* residual = call.residual ? call.residual + call.place(pixel) + slot : nullptr;
  const Factors<V, Vectors> by(to, slot);
  for (int p = 0; p < pixels; p += per_register) {
    const int count = pixels - p < per_register ? pixels - p : per_register;
    Sums four[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int at = p + (i / Vectors < count ? i / Vectors : 0), v = i % Vectors;  // what is too many is computed and left out
      four[i] = V::load(sums + (at * Vectors + v) * V::lanes);
      if (residual)
        four[i] = V::multiply_add(V::template spread<Vectors>(residual + at * step, v),
                                  V::load(call.factor + slot + v * V::lanes), four[i]);
    }
    const auto result = to.form == Form::general   ? to_bytes<V, Form::general>(four, to, by)
                        : to.form == Form::shifted ? to_bytes<V, Form::shifted>(four, to, by)
                        : to.form == Form::proved  ? to_bytes<V, Form::proved>(four, to, by)
                        : to.form == Form::fixed   ? to_bytes<V, Form::fixed>(four, to, by)
                                                   : to_bytes<V, Form::plain>(four, to, by);
    V::template store<Vectors>(target + p * step, step, result, count, bytes);
  }
}

template <class V, int Pixels, int Vectors>
struct ProductTile {
  using Sums = typename V::Sums;
  static constexpr int per_register = 4 / Vectors;  // pixels whose results share a register of bytes
  static constexpr int padded = (Pixels + per_register - 1) / per_register * per_register;

  // `slot`: the first of the part's channels in the panel.
  static void run(const ProductCall& call, const std::int8_t* weights, int slot, int pixel) {
    Sums sum[padded][Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const Sums start = V::load(call.requantize.bias + slot + v * V::lanes);
#pragma GCC unroll 16
      for (int p = 0; p < padded; ++p) sum[p][v] = start;
    }
    for (int tap = 0; tap < call.tap_count; ++tap) {
      const Tap& from = call.taps[tap];
      for (int panel = 0; panel < call.full_panels; ++panel)
        weights = multiply(from.full + panel * from.panel, static_cast<long>(kPanel) * call.stride, pixel, kPanel / 4, weights, sum);
      weights = multiply(from.last, static_cast<long>(call.narrow) * call.stride, pixel, call.quads, weights, sum);
    }
    const std::int8_t* more = call.more_weights + static_cast<long>(slot) / V::lanes * V::weight_bytes * call.more_count;
    for (int i = 0; i < call.more_count; ++i)
      more = multiply(call.quad(call.more[i], 0), call.quad(call.more[i], 1) - call.quad(call.more[i], 0), pixel, 1, more, sum);
    if (call.requantize.form == Form::plain) return store<Form::plain>(call, slot, pixel, sum);
    if (call.requantize.form == Form::shifted) return store<Form::shifted>(call, slot, pixel, sum);
#ifndef MOBILENET_WASM  // where its length matters more
    if (call.requantize.form == Form::proved) return store<Form::proved>(call, slot, pixel, sum);
#endif
    std::int32_t sums[Pixels * Vectors * V::lanes];  // the other forms are rare, or come after long sums
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) V::store_sums(sums + (p * Vectors + v) * V::lanes, sum[p][v]);
    finish<V, Vectors>(call, slot, pixel, Pixels, sums);
  }

 private:
  // One panel of the source, `step` bytes from pixel to pixel. Returns where the next one's weights begin.
  [[gnu::always_inline]] static inline const std::int8_t* multiply(const std::uint8_t* source, long step, int pixel, int quads,
                                                                   const std::int8_t* weights, Sums (&sum)[padded][Vectors]) {
    constexpr int groups = (Pixels + 3) / 4;  // few pointers: four pixels are at multiples of one step
    const std::uint8_t* group[groups];
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) group[g] = source + (pixel + 4 * g) * step;
    do {
      typename V::Weight weight[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) weight[v] = V::weight(weights + v * V::weight_bytes);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        const typename V::Value value = V::broadcast(group[p / 4] + p % 4 * step);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[p][v] = V::dot(sum[p][v], value, weight[v]);
      }
#pragma GCC unroll 4
      for (int g = 0; g < groups; ++g) group[g] += 4;
      weights += Vectors * V::weight_bytes;
    } while (--quads);
    return weights;
  }

  template <Form form>
  [[gnu::always_inline]] static inline void store(const ProductCall& call, int slot, int pixel, Sums (&sum)[padded][Vectors]) {
    const int bytes = call.width - slot < Vectors * V::lanes ? call.width - slot : Vectors * V::lanes;
    std::uint8_t* target = static_cast<std::uint8_t*>(call.target) + call.place(pixel) + slot;
    const Factors<V, Vectors> by(call.requantize, slot);
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; p += per_register) {
      const int pixels = Pixels - p < per_register ? Pixels - p : per_register;
      Sums four[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) four[i] = sum[p + i / Vectors][i % Vectors];
      const auto result = to_bytes<V, form>(four, call.requantize, by);
      V::template store<Vectors>(target + p * call.target_pixel, call.target_pixel, result, pixels, bytes);
    }
  }
};

template <class V, int Vectors>
void product_part(const ProductCall& call, const std::int8_t* weights, int slot) {
  for (int row = 0; row < call.pixels; row += call.row_pixels)
    each_tile<V::tile_pixels(Vectors)>(call.row_pixels, [&](auto size, int pixel) {
      ProductTile<V, decltype(size)::value, Vectors>::run(call, weights, slot, row + pixel);
    });
}

template <class V>
void product(const ProductCall& call) {
  const std::int8_t* weights = call.weights;
  const long quads = static_cast<long>(call.tap_count) * (call.full_panels * (kPanel / 4) + call.quads);
  for (int slot = 0; slot < call.width;) {
    const int vectors = part_vectors(call.width - slot, V::lanes);
    if (vectors == 4) product_part<V, 4>(call, weights, slot);
    if constexpr (V::lanes >= 8)
      if (vectors == 2) product_part<V, 2>(call, weights, slot);
    if constexpr (V::lanes >= 16)
      if (vectors == 1) product_part<V, 1>(call, weights, slot);
    weights += quads * vectors * V::weight_bytes;
    slot += vectors * V::lanes;
  }
}

}  // namespace mobilenet::i8
