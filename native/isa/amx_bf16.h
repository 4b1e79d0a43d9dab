// AMX with bfloat16, beside AVX-512 with its conversions.
#pragma once

#include "../kernels/bf16/calls.h"
#include "../kernels/bf16/tiles.h"
#include "amx.h"
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

// The operations of kernels/bf16/tiles.h as instructions.
struct AmxBf16Tiles : AmxTileUnit {
  static void configure(int pixels, int first_weights) {
    const int shapes = first_weights << 8 | pixels;  // past every number of AmxTiles
    if (configured == shapes) return;
    Configuration c;
    for (int tile = 0; tile < 8; ++tile) c.rows[tile] = static_cast<std::uint8_t>(tile < first_weights ? pixels : bf16::kTileSide);
    AmxTileUnit::configure(c, shapes);
  }
  template <int sums, int pixels, int weights>
  static void multiply() {  // AT&T order: weights, pixels, sums
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(pixels), "i"(weights));
  }
};

}  // namespace mobilenet
