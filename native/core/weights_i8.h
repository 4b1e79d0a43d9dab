// Integer constants as the int8 kernels read them: packed once when a model is loaded, then shared and never changed.
#pragma once

#include <memory>
#include <vector>

#include "../kernels/kernels.h"
#include "memory.h"

namespace mobilenet::i8 {

// A layer's integers, by output. What they must satisfy is checked when they are packed, so every program may trust it.
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
// A weight of -255 to 255 is the sum of so many of 8 bits, of its own sign. `part` 0 is the largest.
constexpr int kMaxPasses = 3;
constexpr std::int8_t part_of(int weight, int part) {
  for (; part > 0; --part) weight -= part_of(weight, 0);
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

// Panel by panel: [part][tap][four inputs][registers of the part][output][input of the four]. See `slot_of` for the order of
// outputs and `part_vectors` for the parts. The inputs of a source panel are rounded up to four. Wide weights have 16 bits, and
// stand in a register's place as [inputs 0 and 2, or 1 and 3][output][input of the two].
struct ProductWeights {
  int inputs, outputs, kernel;
  bool image;     // the source is the image: pixels of 4 bytes
  bool real;      // results are float32
  bool residual;  // a residual goes into the sums
  Packing packing;
  std::vector<std::size_t> offsets;  // of each panel in `weights`
  // Of each panel: the inputs with a weight that does not fit into 8 bits, and what remains of these weights for a second pass, by
  // [part][input][registers of the part][output][input of the four].
  std::vector<std::vector<More>> more;
  std::vector<std::vector<std::int8_t>> more_weights;
  PanelConstants constants;
  Memory weights, factors;

  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, bool image, const Packing& packing,
                 Slab* slab = nullptr);

  // Constants that were packed before, where they stand. Empty offsets and arrays, which `parts` lists, are filled in by the caller.
  ProductWeights(int outputs, int inputs, int kernel, bool image, bool real, bool residual, const Packing& packing);

  std::size_t set_offsets();  // returns the bytes of all weights
  void pack_more(const Constants& constants, int panel);
  int full_panels() const { return panels_of(inputs) - 1; }
  int quads() const { return (inputs - full_panels() * kPanel + 3) / 4; }
  int narrow() const { return image ? 4 : panel_width(inputs, full_panels()); }
};

// Panel by panel. 3 x 3: [part][column][register][channel][three rows and a zero]; where a register holds several pixels of a
// panel, their weights are repeated. Other kernels: [tap][kSlots]. If some weight is more than 8 bits hold, there are several
// passes of all panels, whose weights are added.
struct DepthwiseWeights {
  int channels, kernel;
  Packing packing;
  std::size_t panel;  // bytes of a panel's weights
  std::vector<int> passes;  // of each panel
  PanelConstants constants;
  Memory weights;

  DepthwiseWeights(const Constants& constants, int channels, int kernel, const Packing& packing);
  DepthwiseWeights(int channels, int kernel, const Packing& packing);  // as for a product: `passes` and arrays are the caller's

  std::size_t weight_bytes() const;  // of all passes
};

using ProductWeightsPtr = std::shared_ptr<const ProductWeights>;
using DepthwiseWeightsPtr = std::shared_ptr<const DepthwiseWeights>;

}  // namespace mobilenet::i8
