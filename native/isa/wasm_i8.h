// Int8 with WebAssembly's SIMD128: four sums in a register. Bytes become 16 bits and `dot` adds two products, as with AVX2.
//
// There is no exact fused multiply-add here (relaxed SIMD may round twice), so what rounds sums does it in double precision, where
// the product of a sum and a multiplier is exact.
#pragma once

#include <wasm_simd128.h>

#include "../kernels/i8/requantize.h"

namespace mobilenet {

struct WasmI8 {
  static constexpr const char* name = "wasm";
  static constexpr int lanes = 4;
  static constexpr int weight_bytes = 8 * lanes;  // of a register's product weights: they have 16 bits
  static constexpr bool few_registers = true;     // for a depthwise window's values of 16 bits
  using Sums = v128_t;
  using Bytes = v128_t;
  using Floats = v128_t;
  struct Value {
    v128_t even, odd;  // 16 bits each
  };
  using Weight = Value;

  static Sums load(const std::int32_t* p) { return wasm_v128_load(p); }
  static void store_sums(std::int32_t* p, Sums x) { wasm_v128_store(p, x); }
  static Bytes load_bytes(const std::uint8_t* p) { return wasm_v128_load(p); }
  static Sums multiply_add(Sums a, Sums b, Sums c) { return wasm_i32x4_add(wasm_i32x4_mul(a, b), c); }

  static Value value(Bytes x) { return {wasm_v128_and(x, wasm_i16x8_splat(255)), wasm_u16x8_shr(x, 8)}; }
  static Value broadcast(const std::uint8_t* p) { return value(wasm_v128_load32_splat(p)); }
  static Weight weight(const std::int8_t* p) { return {wasm_v128_load(p), wasm_v128_load(p + 16)}; }
  static Weight narrow_weight(const std::int8_t* p) {
    const v128_t x = wasm_v128_load(p);
    return {wasm_i16x8_shr(wasm_i16x8_shl(x, 8), 8), wasm_i16x8_shr(x, 8)};
  }
  static Sums dot(Sums sum, const Value& v, const Weight& w) {
    return wasm_i32x4_add(sum, wasm_i32x4_add(wasm_i32x4_dot_i16x8(v.even, w.even), wasm_i32x4_dot_i16x8(v.odd, w.odd)));
  }
  // Which bytes of 16 channels belong to register `j` of their sums: `low` puts them into the lower 16 bits of each sum.
  struct Register {
    v128_t low, high;
    explicit Register(int j)
        : low(wasm_v128_or(wasm_i8x16_const(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1), wasm_i32x4_splat(4 * j))),
          high(wasm_i8x16_shuffle(low, low, 1, 2, 0, 3, 5, 6, 4, 7, 9, 10, 8, 11, 13, 14, 12, 15)) {}
  };
  // A column of a depthwise window: its first and third row, and its second row.
  static Value column(const std::uint8_t* a, const std::uint8_t* b, const std::uint8_t* c, const Register& mine) {
    return {wasm_v128_or(wasm_i8x16_swizzle(load_bytes(a), mine.low), wasm_i8x16_swizzle(load_bytes(c), mine.high)),
            wasm_i8x16_swizzle(load_bytes(b), mine.low)};
  }

  static Floats floats(const float* p) { return wasm_v128_load(p); }
  static v128_t low_doubles(Floats x) { return wasm_f64x2_promote_low_f32x4(x); }
  static v128_t high_doubles(Floats x) { return wasm_f64x2_promote_low_f32x4(wasm_i64x2_shuffle(x, x, 1, 0)); }
  static v128_t high_doubles_of(Sums x) { return wasm_f64x2_convert_low_i32x4(wasm_i64x2_shuffle(x, x, 1, 0)); }
  // The nearest integer to sum * scale, halves to the even one: a double of this size has no bits behind the point, and as an
  // integer its lower half counts on.
  static Sums rounded(Sums sum, Floats scale) {
    const v128_t magic = wasm_f64x2_splat(6755399441055744.0);  // 1.5 * 2^52
    const v128_t low = wasm_f64x2_add(wasm_f64x2_mul(wasm_f64x2_convert_low_i32x4(sum), low_doubles(scale)), magic);
    const v128_t high = wasm_f64x2_add(wasm_f64x2_mul(high_doubles_of(sum), high_doubles(scale)), magic);
    return wasm_i32x4_shuffle(low, high, 0, 2, 4, 6);
  }
  static Sums round_magic(Sums sum, Floats scale, Floats) { return rounded(wasm_i32x4_sub(sum, all(i8::kMagicBits)), scale); }
  static Sums round_general(Sums sum, Floats scale) { return rounded(sum, scale); }  // packing limits it

  // x * scale + offset, rounded once to float32. Two doubles: the sum is rounded so that a second rounding changes nothing, to the odd
  // neighbor if it is not exact.
  static v128_t fused(v128_t x, v128_t scale, v128_t offset) {
    const v128_t product = wasm_f64x2_mul(x, scale), sum = wasm_f64x2_add(product, offset);
    const v128_t part = wasm_f64x2_sub(sum, product);
    const v128_t error = wasm_f64x2_add(wasm_f64x2_sub(product, wasm_f64x2_sub(sum, part)), wasm_f64x2_sub(offset, part));
    const v128_t zero = wasm_f64x2_splat(0), one = wasm_i64x2_splat(1);
    const v128_t even = wasm_i64x2_eq(wasm_v128_and(sum, one), wasm_i64x2_splat(0));
    const v128_t moved = wasm_v128_and(even, wasm_f64x2_ne(error, zero));
    const v128_t inward = wasm_v128_xor(wasm_f64x2_lt(error, zero), wasm_f64x2_lt(sum, zero));  // all ones: toward zero
    const v128_t step = wasm_v128_or(inward, one);                                              // -1 or 1
    return wasm_f32x4_demote_f64x2_zero(wasm_i64x2_add(sum, wasm_v128_and(moved, step)));
  }
  // The nearest integer to fma(sum, scale, offset with the sum's sign).
  static Sums round_nearest(Sums sum, Floats scale, Floats offset) {
    const v128_t x = wasm_f32x4_convert_i32x4(sum);
    const v128_t signed_offset = wasm_v128_bitselect(x, offset, wasm_i32x4_splat(static_cast<std::int32_t>(0x80000000u)));
    const v128_t low = fused(low_doubles(x), low_doubles(scale), low_doubles(signed_offset));
    const v128_t high = fused(high_doubles(x), high_doubles(scale), high_doubles(signed_offset));
    return nearest(wasm_i64x2_shuffle(low, high, 0, 2));
  }
  // kernels/i8/requantize.h: x * fraction * 2^(exponent - 31), rounded twice. There are no shifts by as many bits as each lane says.
  static Sums fixed_point(Sums x, Sums fraction, Sums exponent) {
    std::int32_t sums[4], fractions[4], exponents[4];
    store_sums(sums, x), store_sums(fractions, fraction), store_sums(exponents, exponent);
    for (int i = 0; i < 4; ++i) sums[i] = static_cast<std::int32_t>(i8::fixed_point(sums[i], fractions[i], exponents[i]));
    return load(sums);
  }

  static Bytes pack(Sums a, Sums b, Sums c, Sums d) {
    return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(a, b), wasm_i16x8_narrow_i32x4(c, d));
  }
  static Bytes pack_shifted(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    const v128_t shift = wasm_i16x8_splat(static_cast<std::int16_t>(zero));
    const v128_t x = wasm_u8x16_narrow_i16x8(wasm_i16x8_add_sat(wasm_i16x8_narrow_i32x4(a, b), shift),
                                             wasm_i16x8_add_sat(wasm_i16x8_narrow_i32x4(c, d), shift));
    return wasm_u8x16_max(wasm_u8x16_min(x, wasm_u8x16_splat(static_cast<std::uint8_t>(high))),
                          wasm_u8x16_splat(static_cast<std::uint8_t>(low)));
  }
  static Bytes pack_any(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    return pack_shifted(a, b, c, d, zero, low, high);
  }
  static Floats same(float x) { return wasm_f32x4_splat(x); }
  static Floats times(Floats a, Floats b) { return wasm_f32x4_mul(a, b); }
  static Floats plus(Floats a, Floats b) { return wasm_f32x4_add(a, b); }
  static Floats reals(const std::uint8_t* p) { return converted(widened(p)); }
  static Floats converted(Sums x) { return wasm_f32x4_convert_i32x4(x); }
  static Sums nearest(Floats x) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(x)); }
  static Sums truncated(Floats x) { return wasm_i32x4_trunc_sat_f32x4(x); }
  static void store_floats(float* p, Floats x) { wasm_v128_store(p, x); }
  // Four bytes of each of 4 pixels.
  static Sums strided(const std::uint8_t* p, int stride) {
    v128_t x = wasm_v128_load32_zero(p);
    x = wasm_v128_load32_lane(p + stride, x, 1);
    x = wasm_v128_load32_lane(p + 2L * stride, x, 2);
    return wasm_v128_load32_lane(p + 3L * stride, x, 3);
  }
  static Sums shifted_down(Sums x, int bits) { return wasm_u32x4_shr(x, static_cast<std::uint32_t>(bits)); }
  static Sums both(Sums a, Sums b) { return wasm_v128_and(a, b); }
  static Sums all(int x) { return wasm_i32x4_splat(x); }
  static Sums sum(Sums a, Sums b) { return wasm_i32x4_add(a, b); }
  static Sums widened(const std::uint8_t* p) { return wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p))); }
  static void store_narrowed(std::uint8_t* p, Sums x) {  // limited to bytes
    const v128_t narrow = wasm_i16x8_narrow_i32x4(x, x);
    wasm_v128_store32_lane(p, wasm_u8x16_narrow_i16x8(narrow, narrow), 0);
  }

  // A register holds 16 channels of one pixel, so there are no others in it.
  template <int Vectors>
  static void store(std::uint8_t* target, long, Bytes x, int, int) {
    static_assert(Vectors == 4);
    wasm_v128_store(target, x);
  }
  // The part's bytes as the sums of register `j` stand.
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int j) {
    return widened(p + 4 * j);
  }
  // RNE(x * factor + offset) of 4 values in double precision, from 0 to 255; the product is exact.
  static Sums color(const float* p, double factor, double offset) {
    const auto half = [&](v128_t x) {
      const v128_t y = wasm_f64x2_add(wasm_f64x2_mul(x, wasm_f64x2_splat(factor)), wasm_f64x2_splat(offset));
      const v128_t limited = wasm_f64x2_pmin(wasm_f64x2_pmax(wasm_f64x2_splat(0), y), wasm_f64x2_splat(255));  // NaN becomes 0
      return wasm_i32x4_trunc_sat_f64x2_zero(wasm_f64x2_nearest(limited));
    };
    const v128_t x = wasm_v128_load(p);
    return wasm_i64x2_shuffle(half(low_doubles(x)), half(high_doubles(x)), 0, 2);
  }
  // The integer nearest to x / scale, halves away from 0, plus zero; from 0 to 255.
  static Sums color_divided(const float* p, float scale, float zero) {
    const v128_t x = wasm_f32x4_div(wasm_v128_load(p), same(scale));
    const v128_t half = wasm_v128_bitselect(x, same(0.5f), wasm_i32x4_splat(static_cast<std::int32_t>(0x80000000u)));
    const v128_t y = wasm_f32x4_add(wasm_f32x4_trunc(wasm_f32x4_add(x, half)), same(zero));
    return truncated(wasm_f32x4_pmin(wasm_f32x4_pmax(same(0), y), same(255)));
  }
  static Sums shifted(Sums x, int bits) { return wasm_i32x4_shl(x, static_cast<std::uint32_t>(bits)); }
  static Sums either(Sums a, Sums b) { return wasm_v128_or(a, b); }
  static void store_real(float* target, Sums sum, const float* scale) {
    wasm_v128_store(target, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(sum), wasm_v128_load(scale)));
  }

  static constexpr int tile_pixels(int) { return 2; }  // 8 sums of 16 registers; weights are operands
};

}  // namespace mobilenet
