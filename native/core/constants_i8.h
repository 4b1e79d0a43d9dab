// A layer's integers and what follows from them for each output: the way from a sum to a byte. Checked here, once, when a model is
// loaded, so that every program may trust them.
#pragma once

#include <vector>

#include "../kernels/kernels.h"
#include "memory.h"

namespace mobilenet::i8 {

// A layer's integers, by output.
//
// In networks of our own, sums become bytes by a multiplier or real numbers by a scale. In TensorFlow's they become bytes by a
// fraction and an exponent, and weights are as large as bytes less a zero point.
struct Constants {
  const std::int8_t* weight;         // (outputs, inputs, kernel, kernel), -127 to 127; or null
  const std::int16_t* wide;          // -255 to 255, with a fraction; or null
  const std::int32_t* bias;          // with the input's zero point folded in
  const std::int32_t* multiplier;    // 1 to 2^22; or null
  const float* scale;                // of a real result; or null
  const std::int32_t *fraction, *exponent;  // a multiplier fraction * 2^(exponent - 31): 2^30 to 2^31 - 1, -31 to 30; or 0, 0; or null
  const std::int32_t* factor;        // of the residual in the sum, 1 to 2^15 - 1, beside a multiplier; or null
  int residual_zero;                 // its zero point
  int zero, low, high;               // of the result: 0 to 255

  int at(std::size_t index) const { return weight ? weight[index] : wide[index]; }  // of the weights
};

constexpr int kMaxWide = 255;
// A weight of -255 to 255 is the sum of so many of 8 bits, of its own sign, each used in a pass of its own. That of pass 0 is the largest.
constexpr int kMaxPasses = 3;
constexpr std::int8_t in_pass(int weight, int pass) {
  for (; pass > 0; --pass) weight -= in_pass(weight, 0);
  return static_cast<std::int8_t>(weight < -128 ? -128 : weight > 127 ? 127 : weight);
}

// The constants of all panels, kSlots for each, as `Requantize` points to them.
struct PanelConstants {
  int zero, low, high;
  std::vector<Form> forms;
  Memory bias, scale, offset, fraction, exponent;  // the last two are empty unless the layer has fractions

  Requantize of(int panel) const {
    const long at = static_cast<long>(panel) * kSlots;
    return {.form = forms[panel],
            .zero = zero,
            .low = low,
            .high = high,
            .bias = bias.as<std::int32_t>() + at,
            .scale = scale.as<float>() + at,
            .offset = offset.as<float>() + at,
            .fraction = fraction.as<std::int32_t>() + (fraction.bytes() ? at : 0),
            .exponent = exponent.as<std::int32_t>() + (exponent.bytes() ? at : 0)};
  }
};

constexpr int panels_of(int channels) { return (channels + kPanel - 1) / kPanel; }
constexpr int grains(int channels) { return (channels + kGrain - 1) / kGrain * kGrain; }
constexpr int panel_width(int channels, int panel) {
  return grains(channels - panel * kPanel < kPanel ? channels - panel * kPanel : kPanel);
}

// Which channel of its panel has its constants in a slot, by panel * kSlots + slot; -1 for none.
using Slots = std::vector<int>;

// The constants of `channels` outputs with `inputs` weights each. Throws std::invalid_argument for integers that break a rule.
PanelConstants constants_of(const Constants& constants, int channels, std::size_t inputs, const Slots& slots);

}  // namespace mobilenet::i8
