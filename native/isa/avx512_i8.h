// Int8 with registers of 512 bits: sixteen sums, and VNNI's dot product of bytes.
#pragma once

#include <immintrin.h>

#include "../kernels/i8/calls.h"

namespace mobilenet {

// `Isa` keeps the functions of files with different flags apart.
template <class Isa>
struct Int512 {
  static constexpr int lanes = 16;
  static constexpr int weight_bytes = 4 * lanes;  // of a register's product weights
  static constexpr bool few_registers = false;
  using Sums = __m512i;
  using Bytes = __m512i;
  using Value = __m512i;
  using Weight = __m512i;
  using Floats = __m512;

  static Sums load(const std::int32_t* p) { return _mm512_loadu_si512(p); }
  static void store_sums(std::int32_t* p, Sums x) { _mm512_storeu_si512(p, x); }
  static Bytes load_bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static Value value(Bytes x) { return x; }
  static Value broadcast(const std::uint8_t* p) {
    int four;
    __builtin_memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
  }
  static Weight weight(const std::int8_t* p) { return _mm512_loadu_si512(p); }
  static Sums dot(Sums sum, Value v, Weight w) { return _mm512_dpbusd_epi32(sum, v, w); }
  static Sums multiply_add(Sums a, Sums b, Sums c) { return _mm512_add_epi32(_mm512_mullo_epi32(a, b), c); }
  static void interleave(Bytes a, Bytes b, Bytes c, Bytes (&to)[4]) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
    const __m512i third_low = _mm512_unpacklo_epi8(c, zero), third_high = _mm512_unpackhi_epi8(c, zero);
    to[0] = _mm512_unpacklo_epi16(low, third_low), to[1] = _mm512_unpackhi_epi16(low, third_low);
    to[2] = _mm512_unpacklo_epi16(high, third_high), to[3] = _mm512_unpackhi_epi16(high, third_high);
  }

  static Floats floats(const float* p) { return _mm512_loadu_ps(p); }
  static Sums round_magic(Sums sum, Floats scale, Floats offset) {
    return _mm512_castps_si512(_mm512_fmadd_ps(_mm512_castsi512_ps(sum), scale, offset));
  }
  static Sums round_general(Sums sum, Floats scale) {
    const __m512 y = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, _mm512_set1_ps(i8::kMagic));
    return _mm512_castps_si512(_mm512_max_ps(_mm512_min_ps(y, _mm512_set1_ps(i8::kMagic + 32767)), _mm512_set1_ps(i8::kMagic - 32768)));
  }

  // The nearest integer to fma(sum, scale, offset with the sum's sign).
  static Sums round_nearest(Sums sum, Floats scale, Floats offset) {
    const __m512 x = _mm512_cvtepi32_ps(sum);
    const __m512i sign = _mm512_ternarylogic_epi32(_mm512_castps_si512(offset), _mm512_castps_si512(x), _mm512_set1_epi32(1 << 31), 0xf8);
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(x, scale, _mm512_castsi512_ps(sign)));
  }
  // kernels/i8/requantize.h: x * fraction * 2^(exponent - 31), rounded twice.
  static Sums fixed_point(Sums x, Sums fraction, Sums exponent) {
    const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi64(1 << 30);
    x = _mm512_sllv_epi32(x, _mm512_max_epi32(exponent, zero));
    const __m512i even = _mm512_srli_epi64(_mm512_add_epi64(_mm512_mul_epi32(x, fraction), half), 31);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(fraction, 32)), half);
    const __m512i high = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 1));
    const __m512i right = _mm512_max_epi32(_mm512_sub_epi32(zero, exponent), zero);
    const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), right), _mm512_set1_epi32(1));
    const __m512i threshold = _mm512_sub_epi32(_mm512_srli_epi32(mask, 1), _mm512_srai_epi32(high, 31));
    const __mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(high, mask), threshold);
    const __m512i whole = _mm512_srav_epi32(high, right);
    return _mm512_mask_add_epi32(whole, up, whole, _mm512_set1_epi32(1));
  }

  static __m512i low16(Sums a, Sums b) { return _mm512_mask_blend_epi16(0xaaaaaaaa, a, _mm512_slli_epi32(b, 16)); }
  static Bytes in_order(__m512i x) {
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
  }
  static Bytes pack(Sums a, Sums b, Sums c, Sums d) { return in_order(_mm512_packus_epi16(low16(a, b), low16(c, d))); }
  static Bytes pack_shifted(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    const __m512i shift = _mm512_set1_epi16(static_cast<short>(zero));
    const __m512i x = _mm512_packus_epi16(_mm512_adds_epi16(low16(a, b), shift), _mm512_adds_epi16(low16(c, d), shift));
    return in_order(_mm512_max_epu8(_mm512_min_epu8(x, _mm512_set1_epi8(static_cast<char>(high))), _mm512_set1_epi8(static_cast<char>(low))));
  }

  // Of any sums, not only those of 16 bits.
  static Bytes pack_any(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    const __m512i shift = _mm512_set1_epi16(static_cast<short>(zero));
    const __m512i x = _mm512_packus_epi16(_mm512_adds_epi16(_mm512_packs_epi32(a, b), shift), _mm512_adds_epi16(_mm512_packs_epi32(c, d), shift));
    return _mm512_max_epu8(_mm512_min_epu8(x, _mm512_set1_epi8(static_cast<char>(high))), _mm512_set1_epi8(static_cast<char>(low)));
  }
  static Floats same(float x) { return _mm512_set1_ps(x); }
  static Floats times(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats plus(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats reals(const std::uint8_t* p) { return _mm512_cvtepi32_ps(widened(p)); }
  static Floats converted(Sums x) { return _mm512_cvtepi32_ps(x); }
  static Sums nearest(Floats x) { return _mm512_cvtps_epi32(x); }
  static Sums truncated(Floats x) { return _mm512_cvttps_epi32(x); }
  static void store_floats(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  // Four bytes of each of 16 pixels.
  static Sums strided(const std::uint8_t* p, int stride) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_i32gather_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride)), p, 1);
  }
  static Sums shifted_down(Sums x, int bits) { return _mm512_srl_epi32(x, _mm_cvtsi32_si128(bits)); }
  static Sums both(Sums a, Sums b) { return _mm512_and_si512(a, b); }
  static Sums all(int x) { return _mm512_set1_epi32(x); }
  static Sums sum(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
  static Sums widened(const std::uint8_t* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static void store_narrowed(std::uint8_t* p, Sums x) {  // limited to bytes
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(_mm512_max_epi32(x, _mm512_setzero_si512())));
  }

  template <int Vectors>
  static void store(std::uint8_t* target, long stride, Bytes x, int pixels, int bytes) {
    if constexpr (Vectors == 4) {
      if (bytes == 64)
        _mm512_storeu_si512(target, x);
      else
        _mm512_mask_storeu_epi32(target, static_cast<__mmask16>((1u << bytes / 4) - 1), x);
    } else if constexpr (Vectors == 2) {
      x = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), x);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), _mm512_castsi512_si256(x));
      if (pixels > 1) _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + stride), _mm512_extracti64x4_epi64(x, 1));
    } else {
      x = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), x);
      if (pixels == 4 && stride == kGrain) return _mm512_storeu_si512(target, x);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm512_castsi512_si128(x));
      if (pixels > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(target + stride), _mm512_extracti32x4_epi32(x, 1));
      if (pixels > 2) _mm_storeu_si128(reinterpret_cast<__m128i*>(target + 2 * stride), _mm512_extracti32x4_epi32(x, 2));
      if (pixels > 3) _mm_storeu_si128(reinterpret_cast<__m128i*>(target + 3 * stride), _mm512_extracti32x4_epi32(x, 3));
    }
  }
  // The part's bytes as the sums of register `j` stand.
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int j) {
    if constexpr (Vectors == 1) return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    __m512i x;
    if constexpr (Vectors == 4)
      x = load_bytes(p);
    else
      x = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
                                   _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
    const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1));
    return _mm512_shuffle_epi8(x, _mm512_or_si512(first, _mm512_set1_epi32(4 * j)));
  }
  // RNE(x * factor + offset) of 16 values in double precision, from 0 to 255.
  static Sums color(const float* p, double factor, double offset) {
    const auto half = [&](const float* at) {
      const __m512d y = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm256_loadu_ps(at)), _mm512_set1_pd(factor), _mm512_set1_pd(offset));
      return _mm512_cvtpd_epi32(_mm512_min_pd(_mm512_max_pd(y, _mm512_setzero_pd()), _mm512_set1_pd(255)));
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(p)), half(p + 8), 1);
  }
  // The integer nearest to x / scale, halves away from 0, plus zero; from 0 to 255.
  static Sums color_divided(const float* p, float scale, float zero) {
    const __m512 x = _mm512_div_ps(_mm512_loadu_ps(p), _mm512_set1_ps(scale));
    const __m512 half = _mm512_or_ps(_mm512_and_ps(x, _mm512_set1_ps(-0.0f)), _mm512_set1_ps(0.5f));
    const __m512 whole = _mm512_roundscale_ps(_mm512_add_ps(x, half), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m512 y = _mm512_add_ps(whole, _mm512_set1_ps(zero));
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, _mm512_setzero_ps()), _mm512_set1_ps(255)));
  }
  static Sums shifted(Sums x, int bits) { return _mm512_sll_epi32(x, _mm_cvtsi32_si128(bits)); }
  static Sums either(Sums a, Sums b) { return _mm512_or_si512(a, b); }
  static void store_real(float* target, Sums sum, const float* scale) {
    _mm512_storeu_ps(target, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(scale)));
  }

  static constexpr int tile_pixels(int vectors) { return vectors == 4 ? 6 : 12; }  // 24 sums at most; gcc 12 spills beyond
};

struct Avx512VnniI8 : Int512<Avx512VnniI8> {
  static constexpr const char* name = "avx512vnni";
};

}  // namespace mobilenet
