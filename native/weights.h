// Constants as the kernels want to read them: packed once when a model is loaded, then shared by everything, unchanged.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels.h"

namespace mobilenet {

// Zeroed floats on a cache line's boundary.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t count);
  float* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
  float* data_ = nullptr;
  std::size_t size_ = 0;
};

// What a layer brings: its weight, by output; a factor for each output that is multiplied in and rounded once, or none; its
// bias.
struct Constants {
  const float* weight;
  const double* scale;
  const float* bias;

  double factor(int output) const { return scale ? scale[output] : 1.0; }
};

// Batch normalisation after a convolution, by output, folded: y = scale * convolution(x) + bias. Made in double, as
// src/mobilenet/runtime/fold.py makes it, to the same bits.
struct BatchNorm {
  std::vector<double> scale;
  std::vector<float> bias;

  BatchNorm(const float* gamma, const float* beta, const float* mean, const float* variance, double epsilon, int outputs);
};

// The least and the largest of some values; both NaN where one of them is.
struct Bounds {
  float least, largest;
};
Bounds bounds(const float* values, std::size_t count);

// Weights of a product. Output channels go in panels of a few blocks, the unit a task computes; inside a panel the order
// is [part][tap][input][channels of the part], where a part is what the instruction set's registers hold at once, so a
// kernel reads straight through.
struct ProductWeights {
  struct Panel {
    int first_block, blocks;
    bool half;           // the last block has 8 channels or fewer, and is packed so
    std::size_t offset;  // into `weights`
  };
  int inputs, outputs, kernel, depth;  // depth: inputs rounded up to 4
  std::vector<Panel> panels;
  int widest = 0;   // blocks of the widest panel
  int lanes;        // of the instruction set it is packed for
  Floats weights, bias;

  // `weight` is (outputs, inputs, kernel, kernel).
  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, int panel_blocks, const Kernels& kernels);
};

struct DepthwiseWeights {
  int channels, kernel;
  Floats weights, bias;  // [block][kernel * kernel][16]

  DepthwiseWeights(const Constants& constants, int channels, int kernel);
};

struct StemWeights {
  int outputs, kernel;
  Floats weights, bias;  // [block][3 * kernel * kernel][16]

  StemWeights(const Constants& constants, int outputs, int kernel);
};

}  // namespace mobilenet
