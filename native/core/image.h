// An image's bytes as the network's input.
#pragma once

#include <cstdint>

namespace mobilenet {

constexpr int kPlanes = 3;    // red, green, blue
constexpr int kLevels = 256;  // values of a byte

// `target`, one plane after another, from pixels of 3 bytes: each byte is looked up in its color's row of `levels`.
inline void planes(const std::uint8_t* pixels, long count, const float* levels, float* target) {
  for (int plane = 0; plane < kPlanes; ++plane)
    for (long i = 0; i < count; ++i) target[plane * count + i] = levels[plane * kLevels + pixels[i * kPlanes + plane]];
}

}  // namespace mobilenet
