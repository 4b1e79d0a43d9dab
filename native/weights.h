// Constants as the kernels want to read them: packed once when a model is loaded, then shared by everything, unchanged.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels.h"

namespace mobilenet {

// Where the constants of one model lie, one behind another, in pieces that the system may back with its large pages: 14 MiB
// in pages of 4 KiB take as long to come as to fill. A piece lives as long as anything in it.
class Slab {
 public:
  std::shared_ptr<void> take(std::size_t bytes);  // zeroed, on a cache line's boundary

 private:
  std::shared_ptr<void> piece_;
  std::size_t used_ = 0, size_ = 0;
};

// Zeroed floats on a cache line's boundary, in a slab or in memory of their own.
class Floats {
 public:
  Floats() = default;
  explicit Floats(std::size_t count, Slab* slab = nullptr);
  Floats(Floats&&) = default;
  Floats& operator=(Floats&&) = default;
  float* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::shared_ptr<void> memory_;
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
  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, int panel_blocks, const Kernels& kernels,
                 Slab* slab = nullptr);
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
