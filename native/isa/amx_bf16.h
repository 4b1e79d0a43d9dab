// AMX with bfloat16, beside AVX-512 with its conversions.
#pragma once

#include <cstdint>

#include "../kernels/bf16/calls.h"
#include "../kernels/bf16/tiles.h"
#include "avx512.h"

namespace mobilenet {

struct AmxBf16 : Avx512 {
  static constexpr const char* name = "amx";

  static Register widen(const bf16::Value* p) {
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
  }
  static void narrow(bf16::Value* p, Register x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }
};

// The operations of kernels/bf16/tiles.h as instructions, written in assembly for the reasons that amx.h gives.
struct AmxBf16Tiles {
  struct alignas(64) Configuration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {};
  };
  static inline thread_local int configured = 0;  // pixels and first tile of weights in one number; 0: not at all

  static void configure(int pixels, int first_weights) {
    const int wanted = first_weights << 8 | pixels;
    if (configured == wanted) return;
    Configuration c;
    for (int tile = 0; tile < 8; ++tile) c.rows[tile] = static_cast<std::uint8_t>(tile < first_weights ? pixels : bf16::kTileSide);
    asm volatile("ldtilecfg %0" ::"m"(c) : "memory");
    configured = wanted;
  }
  static void release() {
    if (configured) asm volatile("tilerelease" ::: "memory");
    configured = 0;
  }
  template <int tile>
  static void load(const void* from, long stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile));
  }
  template <int tile>
  static void store(void* to, long stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile));
  }
  template <int sums, int pixels, int weights>
  static void multiply() {  // AT&T order: weights, pixels, sums
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(pixels), "i"(weights));
  }
  static void fence() { asm volatile("" ::: "memory"); }
};

}  // namespace mobilenet
