// Sums of pixels with AVX2: four taps at a time, two in each half of a register. There are no products of 8 bits by 23, so a
// weight's low 15 bits and its high bits have sums of their own.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "../kernels/u8/calls.h"

namespace mobilenet {

struct Avx2U8 {
  struct Sums {
    __m256i low, high;
  };

  static Sums none() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }

  static Sums add_products(Sums sums, const std::uint8_t* pixels, const std::int16_t* weights) {
    // Two pixels in each half, color by color: r0 r1 g0 g1 b0 b1 x0 x1, each in 16 bits.
    const __m256i pairs = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1,
                                           8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    const __m256i four = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pixels)));
    const __m256i colors = _mm256_shuffle_epi8(four, pairs);
    const __m256i both = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
    const __m256i low = _mm256_permutevar8x32_epi32(both, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
    const __m256i high = _mm256_permutevar8x32_epi32(both, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3));
    return {_mm256_add_epi32(sums.low, _mm256_madd_epi16(colors, low)),
            _mm256_add_epi32(sums.high, _mm256_madd_epi16(colors, high))};
  }

  static void store_pixel(std::uint8_t* target, Sums sums) {
    const __m256i whole = _mm256_add_epi32(sums.low, _mm256_slli_epi32(sums.high, u8::kLowBits));
    __m128i total = _mm_add_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    total = _mm_srai_epi32(_mm_add_epi32(total, _mm_set1_epi32(1 << (u8::kWeightBits - 1))), u8::kWeightBits);
    total = _mm_packus_epi16(_mm_packs_epi32(total, total), total);
    const int bytes = _mm_cvtsi128_si32(total);
    std::memcpy(target, &bytes, sizeof bytes);
  }

  static constexpr int lanes = 16;
  struct Lanes {
    __m256i low, high;
  };

  static Lanes half() {
    const __m256i each = _mm256_set1_epi32(1 << (u8::kWeightBits - 1));
    return {each, each};
  }
  static Lanes add_scaled(Lanes sums, const std::uint8_t* bytes, std::int32_t weight) {
    const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m256i factor = _mm256_set1_epi32(weight);
    return {_mm256_add_epi32(sums.low, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(all), factor)),
            _mm256_add_epi32(sums.high, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(all, 8)), factor))};
  }
  static void store_lanes(std::uint8_t* target, Lanes sums) {
    const __m256i both = _mm256_packs_epi32(_mm256_srai_epi32(sums.low, u8::kWeightBits),
                                            _mm256_srai_epi32(sums.high, u8::kWeightBits));
    const __m256i ordered = _mm256_permute4x64_epi64(both, 0xd8);  // packing goes half by half
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target),
                     _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
  }
};

}  // namespace mobilenet
