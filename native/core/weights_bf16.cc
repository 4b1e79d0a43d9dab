#include "weights_bf16.h"

#include <algorithm>

#include "../kernels/bf16/rounding.h"

namespace mobilenet::bf16 {

ProductWeights::ProductWeights(const Constants& constants, int outputs_, int inputs_, int kernel_, Slab* slab)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_) {
  const int taps = kernel * kernel;
  const std::size_t tiles = static_cast<std::size_t>(panels()) * taps * depth() * 2;
  weights = Memory(tiles * kTileWeights * sizeof(Value), slab);
  bias = Memory(static_cast<std::size_t>(panels()) * kWide * sizeof(float));
  std::copy_n(constants.bias, outputs, bias.as<float>());
  for (int output = 0; output < outputs; ++output) {
    const float* source = constants.weight + static_cast<std::size_t>(output) * inputs * taps;
    const double factor = constants.factor(output);
    Value* const start = weights.as<Value>() + (panel(output / kWide) - weights.as<Value>()) +
                         output % kWide / kTileSide * kTileWeights + output % kTileSide * 2;
    for (int input = 0; input < inputs; ++input) {
      Value* target = start + static_cast<long>(input / kWide) * 2 * kTileWeights + input % kWide / 2 * 2 * kTileSide + input % 2;
      for (int tap = 0; tap < taps; ++tap, target += static_cast<long>(depth()) * 2 * kTileWeights)
        *target = rounded(static_cast<float>(*source++ * factor));
    }
  }
}

}  // namespace mobilenet::bf16
