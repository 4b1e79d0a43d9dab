// Sums of pixels with NEON: the four colors of a pixel in a register.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "../kernels/u8/calls.h"

namespace mobilenet {

struct NeonU8 {
  using Sums = int32x4_t;

  static constexpr std::int32_t one_half = 1 << (u8::kWeightBits - 1);
  static Sums none() { return vdupq_n_s32(one_half); }
  static int32x4_t widened(uint16x4_t x) { return vreinterpretq_s32_u32(vmovl_u16(x)); }

  static Sums add_products(Sums sums, const std::uint8_t* pixels, const std::int16_t* weights) {
    const uint8x16_t four = vld1q_u8(pixels);
    const uint16x8_t low = vmovl_u8(vget_low_u8(four)), high = vmovl_high_u8(four);
    const auto weight = [&](int tap) { return weights[tap] + weights[u8::kGroup + tap] * (1 << u8::kLowBits); };
    sums = vmlaq_n_s32(sums, widened(vget_low_u16(low)), weight(0));
    sums = vmlaq_n_s32(sums, widened(vget_high_u16(low)), weight(1));
    sums = vmlaq_n_s32(sums, widened(vget_low_u16(high)), weight(2));
    return vmlaq_n_s32(sums, widened(vget_high_u16(high)), weight(3));
  }

  static int16x4_t narrowed(Sums sums) { return vqmovn_s32(vshrq_n_s32(sums, u8::kWeightBits)); }
  static void store_pixel(std::uint8_t* target, Sums sums) {
    const int16x4_t x = narrowed(sums);
    vst1_lane_u32(reinterpret_cast<std::uint32_t*>(target), vreinterpret_u32_u8(vqmovun_s16(vcombine_s16(x, x))), 0);
  }

  static constexpr int lanes = 16;
  struct Lanes {
    int32x4_t of[4];
  };

  static Lanes half() { return {{none(), none(), none(), none()}}; }
  static Lanes add_scaled(Lanes sums, const std::uint8_t* bytes, std::int32_t weight) {
    const uint8x16_t all = vld1q_u8(bytes);
    const uint16x8_t low = vmovl_u8(vget_low_u8(all)), high = vmovl_high_u8(all);
    return {{vmlaq_n_s32(sums.of[0], widened(vget_low_u16(low)), weight), vmlaq_n_s32(sums.of[1], widened(vget_high_u16(low)), weight),
             vmlaq_n_s32(sums.of[2], widened(vget_low_u16(high)), weight),
             vmlaq_n_s32(sums.of[3], widened(vget_high_u16(high)), weight)}};
  }
  static void store_lanes(std::uint8_t* target, Lanes sums) {
    const int16x8_t low = vcombine_s16(narrowed(sums.of[0]), narrowed(sums.of[1]));
    const int16x8_t high = vcombine_s16(narrowed(sums.of[2]), narrowed(sums.of[3]));
    vst1q_u8(target, vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
  }
};

}  // namespace mobilenet
