// AVX2 with FMA: 16 registers of 8 floats; a channel block is two of them.
#pragma once

#include <immintrin.h>

namespace mobilenet {

struct Avx2 {
  static constexpr const char* name = "avx2";
  static constexpr int lanes = 8;
  using Register = __m256;

  static Register load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Register x) { _mm256_storeu_ps(p, x); }
  static Register broadcast(float x) { return _mm256_set1_ps(x); }
  static Register multiply_add(Register a, Register b, Register c) { return _mm256_fmadd_ps(a, b, c); }
  static Register add(Register a, Register b) { return _mm256_add_ps(a, b); }
  static Register clamp(Register x, Register low, Register high) {
    return _mm256_min_ps(high, _mm256_max_ps(low, x));
  }

  // 6 x 16: twelve accumulators, two weights, one broadcast.
  static constexpr int tile_blocks = 1;
  static constexpr int tile_pixels(int, bool) { return 6; }
  static constexpr int depthwise_pixels = 4;
  static constexpr int stem_blocks = 1, stem_pixels = 4;
};

}  // namespace mobilenet
