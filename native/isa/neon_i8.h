// Int8 with NEON: four sums in a register. `usdot` (i8mm) is the dot product of bytes and weights. `sdot` (dotprod) takes signed
// bytes, so 128 is taken from each and 128 times the weights' sum is added. Without either, products of 16 bits are added in pairs.
#pragma once

#include <arm_neon.h>

#include "../kernels/i8/calls.h"

namespace mobilenet {

// What all have in common. `Isa` keeps their functions apart: each file is compiled with flags of its own.
template <class Isa>
struct Int128 {
  static constexpr int lanes = 4;
  static constexpr int weight_bytes = 4 * lanes;  // of a register's product weights
  static constexpr bool few_registers = false;
  using Sums = int32x4_t;
  using Bytes = uint8x16_t;
  using Floats = float32x4_t;

  static Sums load(const std::int32_t* p) { return vld1q_s32(p); }
  static void store_sums(std::int32_t* p, Sums x) { vst1q_s32(p, x); }
  static Bytes load_bytes(const std::uint8_t* p) { return vld1q_u8(p); }
  static uint8x16_t four(const std::uint8_t* p) { return vreinterpretq_u8_u32(vld1q_dup_u32(reinterpret_cast<const std::uint32_t*>(p))); }
  static Sums multiply_add(Sums a, Sums b, Sums c) { return vmlaq_s32(c, a, b); }
  static void interleave(Bytes a, Bytes b, Bytes c, Bytes (&to)[4]) {
    const uint8x16_t zero = vdupq_n_u8(0);
    const uint16x8_t low = vreinterpretq_u16_u8(vzip1q_u8(a, b)), high = vreinterpretq_u16_u8(vzip2q_u8(a, b));
    const uint16x8_t third_low = vreinterpretq_u16_u8(vzip1q_u8(c, zero)), third_high = vreinterpretq_u16_u8(vzip2q_u8(c, zero));
    to[0] = vreinterpretq_u8_u16(vzip1q_u16(low, third_low)), to[1] = vreinterpretq_u8_u16(vzip2q_u16(low, third_low));
    to[2] = vreinterpretq_u8_u16(vzip1q_u16(high, third_high)), to[3] = vreinterpretq_u8_u16(vzip2q_u16(high, third_high));
  }

  static Floats floats(const float* p) { return vld1q_f32(p); }
  static Sums round_magic(Sums sum, Floats scale, Floats offset) {
    return vreinterpretq_s32_f32(vfmaq_f32(offset, vreinterpretq_f32_s32(sum), scale));
  }
  static Sums round_general(Sums sum, Floats scale) {
    const float32x4_t y = vfmaq_f32(same(i8::kMagic), vcvtq_f32_s32(sum), scale);
    return vreinterpretq_s32_f32(vmaxq_f32(vminq_f32(y, same(i8::kMagic + 32767)), same(i8::kMagic - 32768)));
  }
  // The nearest integer to fma(sum, scale, offset with the sum's sign).
  static Sums round_nearest(Sums sum, Floats scale, Floats offset) {
    const float32x4_t x = vcvtq_f32_s32(sum);
    return vcvtnq_s32_f32(vfmaq_f32(vbslq_f32(vdupq_n_u32(0x80000000u), x, offset), x, scale));
  }
  // kernels/i8/requantize.h: x * fraction * 2^(exponent - 31), rounded twice.
  static Sums fixed_point(Sums x, Sums fraction, Sums exponent) {
    const int32x4_t zero = vdupq_n_s32(0), left = vmaxq_s32(exponent, zero), right = vminq_s32(exponent, zero);  // right: below 0
    const int32x4_t high = vqrdmulhq_s32(vshlq_s32(x, left), fraction);
    const int32x4_t away_from_zero = vshrq_n_s32(vandq_s32(high, right), 31);
    return vrshlq_s32(vqaddq_s32(high, away_from_zero), right);
  }

  static int16x8_t low16(Sums a, Sums b) { return vuzp1q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)); }
  static Bytes limited(int16x8_t a, int16x8_t b, int zero, int low, int high) {
    const int16x8_t shift = vdupq_n_s16(static_cast<std::int16_t>(zero));
    const uint8x16_t x = vcombine_u8(vqmovun_s16(vqaddq_s16(a, shift)), vqmovun_s16(vqaddq_s16(b, shift)));
    return vmaxq_u8(vminq_u8(x, vdupq_n_u8(static_cast<std::uint8_t>(high))), vdupq_n_u8(static_cast<std::uint8_t>(low)));
  }
  static Bytes pack(Sums a, Sums b, Sums c, Sums d) { return vcombine_u8(vqmovun_s16(low16(a, b)), vqmovun_s16(low16(c, d))); }
  static Bytes pack_shifted(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    return limited(low16(a, b), low16(c, d), zero, low, high);
  }
  // Of any sums, not only those of 16 bits.
  static Bytes pack_any(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    return limited(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), zero, low, high);
  }
  static Floats same(float x) { return vdupq_n_f32(x); }
  static Floats times(Floats a, Floats b) { return vmulq_f32(a, b); }
  static Floats plus(Floats a, Floats b) { return vaddq_f32(a, b); }
  static Floats reals(const std::uint8_t* p) { return vcvtq_f32_s32(widened(p)); }
  static Floats converted(Sums x) { return vcvtq_f32_s32(x); }
  static Sums nearest(Floats x) { return vcvtnq_s32_f32(x); }
  static Sums truncated(Floats x) { return vcvtq_s32_f32(x); }
  static void store_floats(float* p, Floats x) { vst1q_f32(p, x); }
  // Four bytes of each of 4 pixels.
  static Sums strided(const std::uint8_t* p, int stride) {
    const auto at = [&](int i) { return reinterpret_cast<const std::uint32_t*>(p + static_cast<long>(i) * stride); };
    uint32x4_t x = vld1q_dup_u32(at(0));
    x = vld1q_lane_u32(at(1), x, 1), x = vld1q_lane_u32(at(2), x, 2), x = vld1q_lane_u32(at(3), x, 3);
    return vreinterpretq_s32_u32(x);
  }
  static Sums shifted_down(Sums x, int bits) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vdupq_n_s32(-bits))); }
  static Sums both(Sums a, Sums b) { return vandq_s32(a, b); }
  static Sums all(int x) { return vdupq_n_s32(x); }
  static Sums sum(Sums a, Sums b) { return vaddq_s32(a, b); }
  static Sums widened(const std::uint8_t* p) {
    const uint8x8_t x = vreinterpret_u8_u32(vld1_dup_u32(reinterpret_cast<const std::uint32_t*>(p)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(x))));
  }
  static void store_narrowed(std::uint8_t* p, Sums x) {  // limited to bytes
    const int16x4_t narrow = vqmovn_s32(x);
    vst1_lane_u32(reinterpret_cast<std::uint32_t*>(p), vreinterpret_u32_u8(vqmovun_s16(vcombine_s16(narrow, narrow))), 0);
  }

  // A register holds 16 channels of one pixel, so there are no others in it.
  template <int Vectors>
  static void store(std::uint8_t* target, long, Bytes x, int, int) {
    static_assert(Vectors == 4);
    vst1q_u8(target, x);
  }
  // The part's bytes as the sums of register `j` stand.
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int j) {
    return widened(p + 4 * j);
  }
  // RNE(x * factor + offset) of 4 values in double precision, from 0 to 255.
  static Sums color(const float* p, double factor, double offset) {
    const auto half = [&](float32x2_t x) {
      const float64x2_t y = vfmaq_f64(vdupq_n_f64(offset), vcvt_f64_f32(x), vdupq_n_f64(factor));
      return vmovn_s64(vcvtnq_s64_f64(vminnmq_f64(vmaxnmq_f64(y, vdupq_n_f64(0)), vdupq_n_f64(255))));
    };
    const float32x4_t x = vld1q_f32(p);
    return vcombine_s32(half(vget_low_f32(x)), half(vget_high_f32(x)));
  }
  // The integer nearest to x / scale, halves away from 0, plus zero; from 0 to 255.
  static Sums color_divided(const float* p, float scale, float zero) {
    const float32x4_t x = vdivq_f32(vld1q_f32(p), same(scale));
    const float32x4_t half = vbslq_f32(vdupq_n_u32(0x80000000u), x, same(0.5f));
    const float32x4_t y = vaddq_f32(vrndq_f32(vaddq_f32(x, half)), same(zero));
    return vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(y, same(0)), same(255)));
  }
  static Sums shifted(Sums x, int bits) { return vshlq_s32(x, vdupq_n_s32(bits)); }
  static Sums either(Sums a, Sums b) { return vorrq_s32(a, b); }
  static void store_real(float* target, Sums sum, const float* scale) { vst1q_f32(target, vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(scale))); }

  static constexpr int tile_pixels(int) { return 5; }  // 20 sums, four weights and what they need, of 32 registers
};

struct NeonI8 : Int128<NeonI8> {
  static constexpr const char* name = "neon";
  struct Value {
    int16x8_t low, high;
  };
  using Weight = Value;

  static Value value(Bytes x) { return {vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x))), vreinterpretq_s16_u16(vmovl_high_u8(x))}; }
  static Value broadcast(const std::uint8_t* p) {
    const int16x8_t x = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(four(p))));
    return {x, x};
  }
  static Weight weight(const std::int8_t* p) {
    const int8x16_t x = vld1q_s8(p);
    return {vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)};
  }
  static Sums dot(Sums sum, const Value& v, const Weight& w) {
    const int32x4_t first = vmull_s16(vget_low_s16(v.low), vget_low_s16(w.low)), second = vmull_high_s16(v.low, w.low);
    const int32x4_t third = vmull_s16(vget_low_s16(v.high), vget_low_s16(w.high)), fourth = vmull_high_s16(v.high, w.high);
    return vaddq_s32(sum, vpaddq_s32(vpaddq_s32(first, second), vpaddq_s32(third, fourth)));
  }
};

#ifdef __ARM_FEATURE_DOTPROD
struct NeonDotI8 : Int128<NeonDotI8> {
  static constexpr const char* name = "neondot";
  using Value = int8x16_t;
  struct Weight {
    int8x16_t bytes;
    int32x4_t offset;  // 128 times the weights' sum
  };

  static Value value(Bytes x) { return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128))); }
  static Value broadcast(const std::uint8_t* p) { return value(Int128::four(p)); }
  static Weight weight(const std::int8_t* p) {
    const int8x16_t x = vld1q_s8(p);
    return {x, vshlq_n_s32(vdotq_s32(vdupq_n_s32(0), x, vdupq_n_s8(64)), 1)};
  }
  static Sums dot(Sums sum, Value v, const Weight& w) { return vdotq_s32(vaddq_s32(sum, w.offset), v, w.bytes); }
};
#endif

#ifdef __ARM_FEATURE_MATMUL_INT8
struct NeonI8mmI8 : Int128<NeonI8mmI8> {
  static constexpr const char* name = "neoni8mm";
  using Value = uint8x16_t;
  using Weight = int8x16_t;

  static Value value(Bytes x) { return x; }
  static Value broadcast(const std::uint8_t* p) { return Int128::four(p); }
  static Weight weight(const std::int8_t* p) { return vld1q_s8(p); }
  static Sums dot(Sums sum, Value v, Weight w) { return vusdotq_s32(sum, v, w); }
};
#endif

}  // namespace mobilenet
