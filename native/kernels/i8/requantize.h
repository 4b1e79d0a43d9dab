// The way out of the sums: four registers of them become one of bytes, by one of the forms of calls.h.
#pragma once

#include "calls.h"

namespace mobilenet::i8 {

// The constants of some registers of sums. Bytes may be stored anywhere, so the compiler would load them again for each result.
template <class V, int Vectors>
struct Factors {
  typename V::Floats scale[Vectors], offset[Vectors];

  [[gnu::always_inline]] inline Factors(const Requantize& to, int slot) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      scale[v] = V::floats(to.scale + slot + v * V::lanes), offset[v] = V::floats(to.offset + slot + v * V::lanes);
  }
};

// Four registers of sums -> bytes, of one pixel or of several.
template <class V, Form form, int Vectors>
[[gnu::always_inline]] inline typename V::Bytes to_bytes(const typename V::Sums (&sum)[4], const Requantize& to,
                                                         const Factors<V, Vectors>& by) {
  typename V::Sums rounded[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    if constexpr (form == Form::general)
      rounded[i] = V::round_general(sum[i], by.scale[i % Vectors]);
    else
      rounded[i] = V::round_magic(sum[i], by.scale[i % Vectors], by.offset[i % Vectors]);
  }
  if constexpr (form == Form::plain)
    return V::pack(rounded[0], rounded[1], rounded[2], rounded[3]);
  else
    return V::pack_shifted(rounded[0], rounded[1], rounded[2], rounded[3], to.zero, to.low, to.high);
}

// One sum -> its byte, in integers: the definition. It is what docs/numerics.md says, and what the forms above compute with one
// fused multiply-add. `k` is the multiplier.
constexpr std::int64_t rounded(std::int64_t sum, std::int64_t k) {
  const std::int64_t product = sum * k;  // to the nearest integer, halves to the even one
  return (product + (std::int64_t{1} << (kShift - 1)) - 1 + ((product >> kShift) & 1)) >> kShift;
}

// `V` only keeps the instruction sets' functions apart.
template <class V>
std::uint8_t byte_of(std::int32_t sum, const Requantize& to, int slot) {
  if (to.form != Form::general) sum -= kMagicBits;
  const auto k = static_cast<std::int64_t>(to.scale[slot] * static_cast<float>(1 << kShift));
  const std::int64_t y = to.zero + rounded(sum, k);
  return static_cast<std::uint8_t>(y < to.low ? to.low : y > to.high ? to.high : y);
}

}  // namespace mobilenet::i8
