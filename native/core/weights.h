// Constants as the kernels read them: packed once when a model is loaded, then shared and never changed.
#pragma once

#include <memory>
#include <vector>

#include "../kernels/kernels.h"
#include "memory.h"

namespace mobilenet {

// A layer's constants: its weight, by output; a factor for each output, or null (the product is rounded once); its bias.
struct Constants {
  const float* weight;
  const double* scale;
  const float* bias;

  double factor(int output) const { return scale ? scale[output] : 1.0; }
};

// Batch normalization after a convolution, folded: y = scale * convolution(x) + bias for each output. Computed in double,
// with the same bits as src/mobilenet/engine/fold.py.
struct BatchNorm {
  std::vector<double> scale;
  std::vector<float> bias;

  BatchNorm(const float* gamma, const float* beta, const float* mean, const float* variance, double epsilon, int outputs);
};

// The least and the largest of some values; both NaN if any value is.
struct Bounds {
  float least, largest;
};
Bounds bounds(const float* values, std::size_t count);

// Whether all of some values are.
bool finite(const float* values, std::size_t count);

// Weights of a product. Output channels form panels of a few blocks, the unit that a step computes; inside a panel the
// order is [part][tap][input][channels of the part], where a part is what the instruction set's registers hold at once, so
// a kernel reads them in order.
struct ProductWeights {
  struct Panel {
    int first_block, blocks;
    bool half;           // the last block has 8 channels or fewer, and is packed so
    std::size_t offset;  // into `weights`
  };
  int inputs, outputs, kernel, depth;  // depth: inputs rounded up to 4
  std::vector<Panel> panels;
  int widest = 0;    // blocks of the widest panel
  int panel_blocks;  // blocks of a panel, as asked for
  int lanes;         // of the instruction set that the weights are packed for
  Memory weights, bias;

  // `weight` is (outputs, inputs, kernel, kernel).
  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, int panel_blocks, const Kernels& kernels,
                 Slab* slab = nullptr);
};

struct DepthwiseWeights {
  int channels, kernel;
  Memory weights, bias;  // [block][kernel * kernel][16]

  DepthwiseWeights(const Constants& constants, int channels, int kernel);
};

struct StemWeights {
  int outputs, kernel;
  Memory weights, bias;  // [block][3 * kernel * kernel][16]

  StemWeights(const Constants& constants, int outputs, int kernel);
};

// Steps share the weights they read.
using ProductWeightsPtr = std::shared_ptr<const ProductWeights>;
using DepthwiseWeightsPtr = std::shared_ptr<const DepthwiseWeights>;
using StemWeightsPtr = std::shared_ptr<const StemWeights>;

}  // namespace mobilenet
