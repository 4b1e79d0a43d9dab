// The way out of the sums: four registers of them become one of bytes, by one of the forms of calls.h.
#pragma once

#include "calls.h"

namespace mobilenet::i8 {

// The constants of some registers of sums. Bytes may be stored anywhere, so the compiler would load them again for each result.
template <class V, int Vectors>
struct Factors {
  typename V::Floats scale[Vectors], offset[Vectors];
  int slot;

  [[gnu::always_inline]] inline Factors(const Requantize& to, int first) : slot(first) {
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
    const int v = i % Vectors, slot = by.slot + v * V::lanes;
    if constexpr (form == Form::general)
      rounded[i] = V::round_general(sum[i], by.scale[v]);
    else if constexpr (form == Form::proved)
      rounded[i] = V::round_nearest(sum[i], by.scale[v], by.offset[v]);
    else if constexpr (form == Form::fixed)
      rounded[i] = V::fixed_point(sum[i], V::load(to.fraction + slot), V::load(to.exponent + slot));
    else
      rounded[i] = V::round_magic(sum[i], by.scale[v], by.offset[v]);
  }
  if constexpr (form == Form::plain)
    return V::pack(rounded[0], rounded[1], rounded[2], rounded[3]);
  else if constexpr (form == Form::proved || form == Form::fixed)
    return V::pack_any(rounded[0], rounded[1], rounded[2], rounded[3], to.zero, to.low, to.high);
  else
    return V::pack_shifted(rounded[0], rounded[1], rounded[2], rounded[3], to.zero, to.low, to.high);
}

// One sum -> its byte, in integers: the definition. It is what docs/numerics.md says, and what the forms above compute with one
// fused multiply-add. `k` is the multiplier.
constexpr std::int64_t rounded(std::int64_t sum, std::int64_t k, int shift = kShift) {
  const std::int64_t product = sum * k;  // to the nearest integer, halves to the even one
  return (product + (std::int64_t{1} << (shift - 1)) - 1 + ((product >> shift) & 1)) >> shift;
}

// The same for TFLite's multipliers, fraction * 2^(exponent - 31), which its reference kernels apply with two roundings: the upper
// half of the product to the nearest integer, halves up; then the shift to the nearest, halves away from 0.
constexpr std::int64_t fixed_point(std::int64_t sum, std::int64_t fraction, int exponent) {
  const int left = exponent > 0 ? exponent : 0, right = exponent < 0 ? -exponent : 0;
  const std::int64_t high = ((sum << left) * fraction + (std::int64_t{1} << 30)) >> 31;
  if (right == 0) return high;
  return (high - (high < 0) + (std::int64_t{1} << (right - 1))) >> right;
}

// `V` only keeps the instruction sets' functions apart.
template <class V>
std::uint8_t byte_of(std::int32_t sum, const Requantize& to, int slot) {
  std::int64_t y = to.zero;
  if (to.form == Form::fixed || to.form == Form::proved) {
    y += fixed_point(sum, to.fraction[slot], to.exponent[slot]);
  } else {
    if (to.form != Form::general) sum -= kMagicBits;
    y += rounded(sum, static_cast<std::int64_t>(to.scale[slot] * static_cast<float>(1 << kShift)));
  }
  return static_cast<std::uint8_t>(y < to.low ? to.low : y > to.high ? to.high : y);
}

// The nearest integer to a / b, halves away from 0; b is above 0.
constexpr std::int64_t divided(std::int64_t a, std::int64_t b) { return a < 0 ? -((b / 2 - a) / b) : (b / 2 + a) / b; }

// A sum less what it holds of the source's zero point -> its byte.
template <class V>
std::uint8_t rescaled(std::int64_t sum, const Rescale& to) {
  std::int64_t y = to.zero;
  switch (to.rounding) {
    case Rounding::even: y += rounded(sum, to.factor, to.shift); break;
    case Rounding::fixed: y += fixed_point(sum, to.factor, to.shift); break;
    case Rounding::divided: y += divided(sum, to.factor); break;
  }
  return static_cast<std::uint8_t>(y < 0 ? 0 : y > 255 ? 255 : y);
}

constexpr int kAddShift = 14;    // bits behind the point of our own additions' factors
constexpr int kFinerShift = 20;  // bits that the terms of TensorFlow's gain before they are scaled

// Two bytes -> the byte of their sum.
template <class V>
std::uint8_t added(int a, int b, const Addition& by) {
  if (by.rounding == Rounding::even) {
    const std::int64_t sum = std::int64_t{by.a.factor} * (a - by.a.zero) + std::int64_t{by.b.factor} * (b - by.b.zero);
    return rescaled<V>(sum, {.rounding = Rounding::even, .factor = 1, .shift = kAddShift, .source_zero = 0, .zero = by.sum.zero});
  }
  const auto scaled = [](int x, const Term& term) {
    return fixed_point(std::int64_t{x - term.zero} * (1 << kFinerShift), term.factor, term.shift);
  };
  return rescaled<V>(scaled(a, by.a) + scaled(b, by.b), {.rounding = Rounding::fixed, .factor = by.sum.factor,
                                                         .shift = by.sum.shift, .source_zero = 0, .zero = by.sum.zero});
}

}  // namespace mobilenet::i8
