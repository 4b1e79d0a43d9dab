// AVX-512: 32 registers of 16 floats.
#pragma once

#include <immintrin.h>

namespace mobilenet {

struct Avx512 {
  static constexpr const char* name = "avx512";
  static constexpr int lanes = 16;
  using Register = __m512;

  static Register load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Register x) { _mm512_storeu_ps(p, x); }
  static Register broadcast(float x) { return _mm512_set1_ps(x); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm512_fmadd_ps(a, b, c); }
  static Register add(Register a, Register b) { return _mm512_add_ps(a, b); }
  // NaN passes: both instructions return their second operand when one is NaN.
  static Register clamp(Register x, Register low, Register high) {
    return _mm512_min_ps(high, _mm512_max_ps(low, x));
  }

  // Two half blocks in one register.
  static Register twice(Register x) { return _mm512_shuffle_f32x4(x, x, 0x44); }
  static Register halves(Register low, Register high) { return _mm512_mask_blend_ps(0xff00, low, high); }
  static Register low_half(Register x) { return _mm512_maskz_mov_ps(0x00ff, x); }
  static Register high_half(Register x) { return _mm512_maskz_shuffle_f32x4(0x00ff, x, x, 0xee); }

  // Products: at most 24 accumulators; gcc 12 spills beyond.
  static constexpr int tile_blocks = 3;
  static constexpr int tile_pixels(int blocks, bool half) {
    return half ? 16 : blocks == 1 ? 14 : blocks == 2 ? 12 : 8;
  }
  static constexpr int depthwise_pixels = 7;
  static constexpr int stem_blocks = 2, stem_pixels = 8;
};

}  // namespace mobilenet
