// Weights of products in bfloat16, as the tile kernels read them. Depthwise convolutions and the stem keep float32.
#pragma once

#include "weights.h"

namespace mobilenet::bf16 {

// [panel of 32 outputs][tap][block of 32 inputs][half of the outputs][16 pairs of inputs][16 outputs][2]; what has no output or
// input is zero.
struct ProductWeights {
  int inputs, outputs, kernel;
  Memory weights, bias;

  // `weight` is (outputs, inputs, kernel, kernel).
  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, Slab* slab = nullptr);

  int panels() const { return (outputs + kWide - 1) / kWide; }
  int depth() const { return (inputs + kWide - 1) / kWide; }
  int halves(int panel) const { return outputs - panel * kWide > kTileSide ? 2 : 1; }
  const Value* panel(int index) const {
    return weights.as<Value>() + static_cast<long>(index) * kernel * kernel * depth() * 2 * kTileWeights;
  }
};

using ProductWeightsPtr = std::shared_ptr<const ProductWeights>;

}  // namespace mobilenet::bf16
