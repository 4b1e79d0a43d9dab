// AArch64's Advanced SIMD: 32 registers of 4 floats; a channel block is four of them.
#pragma once

#include <arm_neon.h>

namespace mobilenet {

struct Neon {
  static constexpr const char* name = "neon";
  static constexpr int lanes = 4;
  using Register = float32x4_t;

  static Register load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Register x) { vst1q_f32(p, x); }
  static Register broadcast(float x) { return vdupq_n_f32(x); }
  static Register multiply_add(Register a, Register b, Register c) { return vfmaq_f32(c, a, b); }
  static Register add(Register a, Register b) { return vaddq_f32(a, b); }
  static Register clamp(Register x, Register low, Register high) { return vminq_f32(high, vmaxq_f32(x, low)); }

  // 6 x 16: 24 accumulators, four weights, one broadcast.
  static constexpr int tile_blocks = 1;
  static constexpr int tile_pixels(int, bool) { return 6; }
  static constexpr int depthwise_pixels = 4;
  static constexpr int stem_blocks = 1, stem_pixels = 4;
};

}  // namespace mobilenet
