// Sums of pixels with WebAssembly's SIMD128: the four colors of a pixel in a register. A weight's low 15 bits and its high bits have
// sums of their own, because products are of 16 bits.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

#include "../kernels/u8/calls.h"

namespace mobilenet {

struct WasmU8 {
  struct Sums {
    v128_t low, high;
  };

  static Sums none() { return {wasm_i32x4_splat(1 << (u8::kWeightBits - 1)), wasm_i32x4_splat(0)}; }

  static Sums add_products(Sums sums, const std::uint8_t* pixels, const std::int16_t* weights) {
    const v128_t four = wasm_v128_load(pixels), zero = wasm_i32x4_splat(0);
    // Two pixels, color by color: r0 r1 g0 g1 b0 b1 x0 x1, each in 16 bits.
    const v128_t first = wasm_i8x16_shuffle(four, zero, 0, 16, 4, 16, 1, 16, 5, 16, 2, 16, 6, 16, 3, 16, 7, 16);
    const v128_t second = wasm_i8x16_shuffle(four, zero, 8, 16, 12, 16, 9, 16, 13, 16, 10, 16, 14, 16, 11, 16, 15, 16);
    const auto products = [&](const std::int16_t* of_two, v128_t colors) {
      return wasm_i32x4_dot_i16x8(colors, wasm_v128_load32_splat(of_two));
    };
    return {wasm_i32x4_add(sums.low, wasm_i32x4_add(products(weights, first), products(weights + 2, second))),
            wasm_i32x4_add(sums.high, wasm_i32x4_add(products(weights + 4, first), products(weights + 6, second)))};
  }

  static v128_t narrowed(v128_t a, v128_t b) {
    return wasm_i16x8_narrow_i32x4(wasm_i32x4_shr(a, u8::kWeightBits), wasm_i32x4_shr(b, u8::kWeightBits));
  }
  static void store_pixel(std::uint8_t* target, Sums sums) {
    const v128_t total = wasm_i32x4_add(sums.low, wasm_i32x4_shl(sums.high, u8::kLowBits)), x = narrowed(total, total);
    wasm_v128_store32_lane(target, wasm_u8x16_narrow_i16x8(x, x), 0);
  }

  static constexpr int lanes = 16;
  struct Lanes {
    v128_t of[4];
  };

  static Lanes half() {
    const v128_t each = wasm_i32x4_splat(1 << (u8::kWeightBits - 1));
    return {{each, each, each, each}};
  }
  static Lanes add_scaled(Lanes sums, const std::uint8_t* bytes, std::int32_t weight) {
    const v128_t all = wasm_v128_load(bytes), factor = wasm_i32x4_splat(weight);
    const v128_t low = wasm_u16x8_extend_low_u8x16(all), high = wasm_u16x8_extend_high_u8x16(all);
    const auto added = [&](v128_t sum, v128_t wide) { return wasm_i32x4_add(sum, wasm_i32x4_mul(wide, factor)); };
    return {{added(sums.of[0], wasm_u32x4_extend_low_u16x8(low)), added(sums.of[1], wasm_u32x4_extend_high_u16x8(low)),
             added(sums.of[2], wasm_u32x4_extend_low_u16x8(high)), added(sums.of[3], wasm_u32x4_extend_high_u16x8(high))}};
  }
  static void store_lanes(std::uint8_t* target, Lanes sums) {
    wasm_v128_store(target, wasm_u8x16_narrow_i16x8(narrowed(sums.of[0], sums.of[1]), narrowed(sums.of[2], sums.of[3])));
  }
};

}  // namespace mobilenet
