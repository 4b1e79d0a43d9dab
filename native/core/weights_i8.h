// Integer constants as the int8 kernels read them: packed once when a model is loaded, then shared and never changed.
#pragma once

#include <memory>
#include <vector>

#include "../kernels/kernels.h"
#include "memory.h"

namespace mobilenet::i8 {

// A layer's integers, by output. What they must satisfy is checked when they are packed, so every program may trust it.
struct Constants {
  const std::int8_t* weight;        // (outputs, inputs, kernel, kernel), -127 to 127
  const std::int32_t* bias;         // with the input's zero point folded in
  const std::int32_t* multiplier;   // 1 to 2^22; or null, and the result is real
  const float* scale;               // of a real result; null otherwise
  const std::int32_t* factor;       // of the residual in the sum, 1 to 2^15 - 1; or null
  int residual_zero;                // its zero point
  int zero, low, high;              // of the result: 0 to 255
};

// The constants of all panels, kSlots for each, as `Requantize` points to them.
struct PanelConstants {
  int zero, low, high;
  std::vector<Form> forms;
  Memory bias, scale, offset;

  Requantize of(int panel) const {
    const long at = static_cast<long>(panel) * kSlots;
    return {.form = forms[panel],
            .zero = zero,
            .low = low,
            .high = high,
            .bias = bias.as<std::int32_t>() + at,
            .scale = scale.as<float>() + at,
            .offset = offset.as<float>() + at};
  }
};

constexpr int panels_of(int channels) { return (channels + kPanel - 1) / kPanel; }
constexpr int grains(int channels) { return (channels + kGrain - 1) / kGrain * kGrain; }
constexpr int panel_width(int channels, int panel) {
  return grains(channels - panel * kPanel < kPanel ? channels - panel * kPanel : kPanel);
}

// Panel by panel: [part][tap][four inputs][registers of the part][output][input of the four]. See `slot_of` for the order of
// outputs and `part_vectors` for the parts. The inputs of a source panel are rounded up to four.
struct ProductWeights {
  int inputs, outputs, kernel;
  bool image;     // the source is the image: pixels of 4 bytes
  bool real;      // results are float32
  bool residual;  // a residual goes into the sums
  int lanes;      // of the instruction set that the weights are packed for
  std::vector<std::size_t> offsets;  // of each panel in `weights`
  PanelConstants constants;
  Memory weights, factors;

  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, bool image, int lanes,
                 Slab* slab = nullptr);

  int full_panels() const { return panels_of(inputs) - 1; }
  int quads() const { return (inputs - full_panels() * kPanel + 3) / 4; }
  int narrow() const { return image ? 4 : panel_width(inputs, full_panels()); }
};

// Panel by panel. 3 x 3: [part][column][register][channel][three rows and a zero]; where a register holds several pixels of a
// panel, their weights are repeated. Other kernels: [tap][kSlots].
struct DepthwiseWeights {
  int channels, kernel, lanes;
  std::size_t panel;  // bytes of a panel's weights
  PanelConstants constants;
  Memory weights;

  DepthwiseWeights(const Constants& constants, int channels, int kernel, int lanes);
};

using ProductWeightsPtr = std::shared_ptr<const ProductWeights>;
using DepthwiseWeightsPtr = std::shared_ptr<const DepthwiseWeights>;

}  // namespace mobilenet::i8
