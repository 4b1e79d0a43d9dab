// Sums of pixels in plain integers.
#pragma once

#include <cstdint>

#include "../kernels/u8/calls.h"

namespace mobilenet {

struct PortableU8 {
  struct Sums {
    std::int32_t color[u8::kPixelBytes];
  };

  static Sums none() {
    constexpr std::int32_t half = 1 << (u8::kWeightBits - 1);
    return {{half, half, half, half}};
  }

  static Sums add_products(Sums sums, const std::uint8_t* pixels, const std::int16_t* weights) {
    for (int tap = 0; tap < u8::kGroup; ++tap) {
      const std::int32_t weight = weights[tap] + weights[u8::kGroup + tap] * (1 << u8::kLowBits);
      for (int c = 0; c < u8::kPixelBytes; ++c) sums.color[c] += pixels[tap * u8::kPixelBytes + c] * weight;
    }
    return sums;
  }

  static void store_pixel(std::uint8_t* target, Sums sums) {
    for (int c = 0; c < u8::kPixelBytes; ++c) {
      const std::int32_t sum = sums.color[c] >> u8::kWeightBits;
      target[c] = static_cast<std::uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
  }

  static constexpr int lanes = u8::kPixelBytes;
  using Lanes = Sums;

  static Lanes half() { return none(); }
  static Lanes add_scaled(Lanes sums, const std::uint8_t* bytes, std::int32_t weight) {
    for (int i = 0; i < lanes; ++i) sums.color[i] += bytes[i] * weight;
    return sums;
  }
  static void store_lanes(std::uint8_t* target, Lanes sums) { store_pixel(target, sums); }
};

}  // namespace mobilenet
