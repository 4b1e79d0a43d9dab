// Integers of a layer, as tests and fuzzing give them to the int8 kernels.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "../core/weights_i8.h"
#include "support.h"

namespace mobilenet::i8 {

constexpr int kOverread = 4096;  // what kernels may read past a source

class Random : public Draws {
 public:
  using Draws::Draws;
  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> made(count + kOverread);
    const bool ends = between(0, 3) == 0;  // the extremes only
    for (std::uint8_t& b : made) b = static_cast<std::uint8_t>(ends ? 255 * between(0, 1) : between(0, 255));
    return made;
  }
  template <class T>
  std::vector<T> integers(std::size_t count, int low, int high) {
    std::vector<T> made(count);
    for (T& v : made) v = static_cast<T>(between(low, high));
    return made;
  }
};

// A layer's integers, of our own networks or with fractions. An empty `factor` means that there is no residual.
struct LayerIntegers {
  std::vector<std::int8_t> weight;
  std::vector<std::int16_t> wide;
  std::vector<std::int32_t> bias, multiplier, factor, fraction, exponent;
  std::vector<float> scale;
  bool fractions = false, real = false;
  int residual_zero = 0, zero = 0, low = 0, high = 255;

  Constants constants() const {
    return {.weight = fractions ? nullptr : weight.data(),
            .wide = fractions ? wide.data() : nullptr,
            .bias = bias.data(),
            .multiplier = real || fractions ? nullptr : multiplier.data(),
            .scale = real ? scale.data() : nullptr,
            .fraction = fractions ? fraction.data() : nullptr,
            .exponent = fractions ? exponent.data() : nullptr,
            .factor = factor.empty() ? nullptr : factor.data(),
            .residual_zero = residual_zero,
            .zero = zero,
            .low = low,
            .high = high};
  }
};

// Random integers of a layer, valid as weights must be: of our own networks, or with fractions.
struct Layer : LayerIntegers {
  Layer(Random& random, int outputs, std::size_t inputs, bool may_be_real, bool residual, bool with_fractions) {
    fractions = with_fractions, real = !fractions && may_be_real && random.between(0, 3) == 0;
    if (fractions) draw_fractions(random, outputs, inputs);
    const int limit = inputs > 500 ? 50 : random.one_of({127, 127, 20});
    weight = random.integers<std::int8_t>(outputs * inputs, -limit, limit);
    bias = random.integers<std::int32_t>(outputs, -60000, 60000);
    const bool any = random.between(0, 1);  // any multiplier, or one whose results are not all at the ends
    for (int i = 0; i < outputs; ++i)
      multiplier.push_back(any ? random.one_of({1, 1 << 22, 1 << 21, random.between(1, 1 << 22)})
                               : static_cast<int>((1 << 22) / (inputs * random.between(20, 60) + 1)) + 1);
    scale = std::vector<float>(outputs);
    for (float& s : scale) s = static_cast<float>(random.between(1, 1000)) / 12345.0f;
    if (residual && !real && !fractions) factor = random.integers<std::int32_t>(outputs, 1, random.one_of({100, 32767}));
    const bool plain = random.between(0, 1);
    residual_zero = random.between(0, 255), zero = plain ? 0 : random.between(0, 255);
    low = plain ? 0 : random.one_of({0, zero}), high = plain ? 255 : random.between(low, 255);
  }

  // Weights that 8 bits hold, most of them, or any; multipliers that leave most results between the ends, or any.
  void draw_fractions(Random& random, int outputs, std::size_t inputs) {
    const int limit = random.one_of({100, 140, 255});
    wide = random.integers<std::int16_t>(outputs * inputs, -limit, limit);
    const int one = random.between(1 << 30, 2147483647);
    const bool same = random.between(0, 1), any = random.between(0, 3) == 0;
    const int spread = static_cast<int>(std::log2(std::sqrt(static_cast<double>(inputs)) * limit));
    for (int i = 0; i < outputs; ++i) {
      fraction.push_back(same ? one : random.one_of({random.between(1 << 30, 2147483647), 1 << 30, 2147483647}));
      exponent.push_back(any ? random.between(-31, 1) : same ? -spread : -random.between(spread - 1, spread + 3));
    }
    if (any && outputs > 1) fraction[1] = exponent[1] = 0;
  }
};

}  // namespace mobilenet::i8
