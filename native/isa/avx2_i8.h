// Int8 with registers of 256 bits: eight sums. AVX2 has no exact dot product of bytes (its maddubs saturates), so bytes become
// 16 bits and madd adds two products; AVX-VNNI has one.
#pragma once

#include <immintrin.h>

#include "../kernels/i8/calls.h"

namespace mobilenet {

// What both have in common. `Isa` keeps their functions apart: each file is compiled with flags of its own.
template <class Isa>
struct Int256 {
  static constexpr int lanes = 8;
  using Sums = __m256i;
  using Bytes = __m256i;
  using Floats = __m256;

  static Sums load(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_sums(std::int32_t* p, Sums x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x); }
  static Bytes load_bytes(const std::uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static __m256i four(const std::uint8_t* p) { return _mm256_castps_si256(_mm256_broadcast_ss(reinterpret_cast<const float*>(p))); }
  static Sums multiply_add(Sums a, Sums b, Sums c) { return _mm256_add_epi32(_mm256_mullo_epi32(a, b), c); }
  static void interleave(Bytes a, Bytes b, Bytes c, Bytes (&to)[4]) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
    const __m256i third_low = _mm256_unpacklo_epi8(c, zero), third_high = _mm256_unpackhi_epi8(c, zero);
    to[0] = _mm256_unpacklo_epi16(low, third_low), to[1] = _mm256_unpackhi_epi16(low, third_low);
    to[2] = _mm256_unpacklo_epi16(high, third_high), to[3] = _mm256_unpackhi_epi16(high, third_high);
  }

  static Floats floats(const float* p) { return _mm256_loadu_ps(p); }
  static Sums round_magic(Sums sum, Floats scale, Floats offset) {
    return _mm256_castps_si256(_mm256_fmadd_ps(_mm256_castsi256_ps(sum), scale, offset));
  }
  static Sums round_general(Sums sum, Floats scale) {
    const __m256 y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, _mm256_set1_ps(i8::kMagic));
    return _mm256_castps_si256(_mm256_max_ps(_mm256_min_ps(y, _mm256_set1_ps(i8::kMagic + 32767)), _mm256_set1_ps(i8::kMagic - 32768)));
  }

  // The nearest integer to fma(sum, scale, offset with the sum's sign).
  static Sums round_nearest(Sums sum, Floats scale, Floats offset) {
    const __m256 x = _mm256_cvtepi32_ps(sum);
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(x, scale, _mm256_or_ps(offset, _mm256_and_ps(x, _mm256_set1_ps(-0.0f)))));
  }
  // kernels/i8/requantize.h: x * fraction * 2^(exponent - 31), rounded twice.
  static Sums fixed_point(Sums x, Sums fraction, Sums exponent) {
    const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi64x(1 << 30);
    x = _mm256_sllv_epi32(x, _mm256_max_epi32(exponent, zero));
    const __m256i even = _mm256_srli_epi64(_mm256_add_epi64(_mm256_mul_epi32(x, fraction), half), 31);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(fraction, 32)), half);
    const __m256i high = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 1), 0xaa);
    const __m256i right = _mm256_max_epi32(_mm256_sub_epi32(zero, exponent), zero);
    const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(_mm256_set1_epi32(1), right), _mm256_set1_epi32(1));
    const __m256i threshold = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1), _mm256_srai_epi32(high, 31));
    const __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(high, mask), threshold);
    return _mm256_sub_epi32(_mm256_srav_epi32(high, right), up);
  }

  static __m256i low16(Sums a, Sums b) { return _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa); }
  static Bytes in_order(__m256i x) {
    return _mm256_shuffle_epi8(x, _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15)));
  }
  static Bytes pack(Sums a, Sums b, Sums c, Sums d) { return in_order(_mm256_packus_epi16(low16(a, b), low16(c, d))); }
  static Bytes pack_shifted(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    const __m256i shift = _mm256_set1_epi16(static_cast<short>(zero));
    const __m256i x = _mm256_packus_epi16(_mm256_adds_epi16(low16(a, b), shift), _mm256_adds_epi16(low16(c, d), shift));
    return in_order(_mm256_max_epu8(_mm256_min_epu8(x, _mm256_set1_epi8(static_cast<char>(high))), _mm256_set1_epi8(static_cast<char>(low))));
  }

  // Of any sums, not only those of 16 bits.
  static Bytes pack_any(Sums a, Sums b, Sums c, Sums d, int zero, int low, int high) {
    const __m256i shift = _mm256_set1_epi16(static_cast<short>(zero));
    const __m256i x = _mm256_packus_epi16(_mm256_adds_epi16(_mm256_packs_epi32(a, b), shift), _mm256_adds_epi16(_mm256_packs_epi32(c, d), shift));
    return _mm256_max_epu8(_mm256_min_epu8(x, _mm256_set1_epi8(static_cast<char>(high))), _mm256_set1_epi8(static_cast<char>(low)));
  }
  static Floats same(float x) { return _mm256_set1_ps(x); }
  static Floats times(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats plus(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats reals(const std::uint8_t* p) { return _mm256_cvtepi32_ps(widened(p)); }
  static Floats converted(Sums x) { return _mm256_cvtepi32_ps(x); }
  static Sums nearest(Floats x) { return _mm256_cvtps_epi32(x); }
  static Sums truncated(Floats x) { return _mm256_cvttps_epi32(x); }
  static void store_floats(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  // Four bytes of each of 8 pixels.
  static Sums strided(const std::uint8_t* p, int stride) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_i32gather_epi32(reinterpret_cast<const int*>(p), _mm256_mullo_epi32(lanes, _mm256_set1_epi32(stride)), 1);
  }
  static Sums shifted_down(Sums x, int bits) { return _mm256_srl_epi32(x, _mm_cvtsi32_si128(bits)); }
  static Sums both(Sums a, Sums b) { return _mm256_and_si256(a, b); }
  static Sums all(int x) { return _mm256_set1_epi32(x); }
  static Sums sum(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
  static Sums widened(const std::uint8_t* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))); }
  static void store_narrowed(std::uint8_t* p, Sums x) {  // limited to bytes
    const __m128i both = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(both, both));
  }

  template <int Vectors>
  static void store(std::uint8_t* target, long stride, Bytes x, int pixels, int bytes) {
    if constexpr (Vectors == 4) {
      if (bytes == 32)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), x);
      else
        _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm256_castsi256_si128(x));
    } else {
      x = _mm256_permute4x64_epi64(x, 0xd8);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(target), _mm256_castsi256_si128(x));
      if (pixels > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(target + stride), _mm256_extracti128_si256(x, 1));
    }
  }
  // The part's bytes as the sums of register `j` stand.
  template <int Vectors>
  static Sums spread(const std::uint8_t* p, int j) {
    __m256i x;
    if constexpr (Vectors == 4)
      x = load_bytes(p);
    else
      x = _mm256_permute4x64_epi64(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 0x50);
    const __m256i first = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1));
    return _mm256_shuffle_epi8(x, _mm256_or_si256(first, _mm256_set1_epi32(4 * j)));
  }
  // RNE(x * factor + offset) of 8 values in double precision, from 0 to 255.
  static Sums color(const float* p, double factor, double offset) {
    const auto half = [&](const float* at) {
      const __m256d y = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(at)), _mm256_set1_pd(factor), _mm256_set1_pd(offset));
      return _mm256_cvtpd_epi32(_mm256_min_pd(_mm256_max_pd(y, _mm256_setzero_pd()), _mm256_set1_pd(255)));
    };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(half(p)), half(p + 4), 1);
  }
  // The integer nearest to x / scale, halves away from 0, plus zero; from 0 to 255.
  static Sums color_divided(const float* p, float scale, float zero) {
    const __m256 x = _mm256_div_ps(_mm256_loadu_ps(p), _mm256_set1_ps(scale));
    const __m256 half = _mm256_or_ps(_mm256_and_ps(x, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(0.5f));
    const __m256 whole = _mm256_round_ps(_mm256_add_ps(x, half), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256 y = _mm256_add_ps(whole, _mm256_set1_ps(zero));
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(y, _mm256_setzero_ps()), _mm256_set1_ps(255)));
  }
  static Sums shifted(Sums x, int bits) { return _mm256_sll_epi32(x, _mm_cvtsi32_si128(bits)); }
  static Sums either(Sums a, Sums b) { return _mm256_or_si256(a, b); }
  static void store_real(float* target, Sums sum, const float* scale) {
    _mm256_storeu_ps(target, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale)));
  }

  static constexpr int tile_pixels(int vectors) { return vectors == 4 ? 2 : 6; }  // of 16 registers
};

struct Avx2I8 : Int256<Avx2I8> {
  static constexpr const char* name = "avx2";
  static constexpr int weight_bytes = 8 * lanes;  // of a register's product weights: they have 16 bits
  static constexpr bool few_registers = true;     // for a depthwise window's values of 16 bits
  struct Value {
    __m256i even, odd;  // 16 bits each
  };
  using Weight = Value;

  static Value value(Bytes x) { return {_mm256_and_si256(x, _mm256_set1_epi16(255)), _mm256_srli_epi16(x, 8)}; }
  static Value broadcast(const std::uint8_t* p) { return value(four(p)); }
  static Weight weight(const std::int8_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
  }
  static Weight narrow_weight(const std::int8_t* p) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), _mm256_srai_epi16(x, 8)};
  }
  // Which bytes of 32 channels belong to register `j` of their sums: `low` puts them into the lower 16 bits of each sum.
  struct Register {
    __m256i low, high;
    explicit Register(int j)
        : low(_mm256_or_si256(_mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1)),
                              _mm256_set1_epi32(4 * j))),
          high(_mm256_shuffle_epi8(low, _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 2, 0, 3, 5, 6, 4, 7, 9, 10, 8, 11, 13, 14, 12, 15)))) {}
  };
  // A column of a depthwise window: its first and third row, and its second row.
  static Value column(const std::uint8_t* a, const std::uint8_t* b, const std::uint8_t* c, const Register& mine) {
    return {_mm256_or_si256(_mm256_shuffle_epi8(load_bytes(a), mine.low), _mm256_shuffle_epi8(load_bytes(c), mine.high)),
            _mm256_shuffle_epi8(load_bytes(b), mine.low)};
  }
  static Sums dot(Sums sum, const Value& v, const Weight& w) {
    const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(v.even, w.even), _mm256_madd_epi16(v.odd, w.odd));
    return _mm256_add_epi32(sum, products);
  }
};

#ifdef __AVXVNNI__
struct AvxVnniI8 : Int256<AvxVnniI8> {
  static constexpr const char* name = "avxvnni";
  static constexpr int weight_bytes = 4 * lanes;
  static constexpr bool few_registers = false;
  using Value = __m256i;
  using Weight = __m256i;

  static Value value(Bytes x) { return x; }
  static Value broadcast(const std::uint8_t* p) { return four(p); }
  static Weight weight(const std::int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static Sums dot(Sums sum, Value v, Weight w) { return _mm256_dpbusd_avx_epi32(sum, v, w); }
};
#endif

}  // namespace mobilenet
