// float32 to bfloat16 and back, as the processors' instructions do it.
#pragma once

#include <bit>
#include <cstdint>

#include "calls.h"

namespace mobilenet::bf16 {

inline float widened(Value value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16); }

// To the nearest, halves to the even one. Numbers below the least normal one, 2^-126, become zero; NaN stays NaN.
inline Value rounded(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<Value>(bits >> 16 | 0x40);
  if (magnitude < 0x00800000) return static_cast<Value>(bits >> 16 & 0x8000);
  return static_cast<Value>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace mobilenet::bf16
