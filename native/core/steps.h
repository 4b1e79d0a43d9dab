// The steps of a program, and the buffers they pass on.
//
// A step computes some rows of one buffer from rows of others. It knows nothing of what ran before it: that the rows it
// reads are there is the plan's business (src/mobilenet/runtime/plan.py), that they lie inside the arena program.cc's.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "weights.h"

namespace mobilenet {

constexpr int kMaxKernel = 15;  // rows and columns of a window; the runner keeps pointers to them on the stack

// Rows of one tensor somewhere in the arena. `slots` rows are kept; row y lives in slot y % slots, so a buffer of all
// `height` rows is a whole tensor and a smaller one is a ring that later rows overwrite. `left` and `right` are columns
// of zeros for the windows of a depthwise or full convolution; a PadStep writes them.
struct Buffer {
  std::size_t offset;  // in floats
  int channels, height, width, slots, left, right;

  int blocks() const { return blocks_of(channels); }
  long pitch() const { return static_cast<long>(left + width + right) * kBlock; }
  long block() const { return slots * pitch(); }
  std::size_t size() const { return static_cast<std::size_t>(blocks()) * block(); }
  long row(int y) const { return y % slots * pitch() + left * kBlock; }  // first pixel of row y in block 0
  bool padded() const { return left + right > 0; }
};

struct Window {
  int kernel, stride, dilation, top, left;
  int source_row(int y, int tap) const { return y * stride - top + tap * dilation; }
};

struct Rows {
  int from, to;
};

// Panels `from` to `to` of a product's weights.
struct Panels {
  int from, to;
};

// The zeros left and right of a buffer's rows in some slots.
struct PadStep {
  int target;
  Rows slots;
};

// The picture (or one of a batch) to the first tensor.
struct StemStep {
  StemWeightsPtr weights;
  Window window;
  int target;
  Rows rows;
  Range range;
};

// A 1x1 convolution, or a full one with `window.kernel` > 1; `residual` (a buffer, or -1) is added after the activation.
struct ProductStep {
  ProductWeightsPtr weights;
  Window window;
  int source, target, residual;
  Rows rows;
  Panels panels;
  Range range;
};

// For DepthwiseCall: a step's rows never change, so where they lie is worked out once.
using RowTable = std::vector<long>;

struct DepthwiseStep {
  DepthwiseWeightsPtr weights;
  Window window;
  int source, target;
  Rows rows;
  int from_block, to_block;
  Range range;
  RowTable table;  // filled in by Program::add
};

// The heart of the fused block: panel by panel, `expanded` rows of the ring are made and the depthwise convolution reads
// them while they are in the cache. A ring with fewer blocks than the expansion is shared by all panels.
struct ExpandDepthwiseStep {
  ProductWeightsPtr expand;
  DepthwiseWeightsPtr depthwise;
  Window window;
  int source, ring, target;
  Rows expanded, rows;
  Panels panels;
  Range expand_range, range;
  RowTable table;  // filled in by Program::add
};

// A product whose result is only wanted as its mean: each panel is made in `scratch` and averaged at once.
struct PooledProductStep {
  ProductWeightsPtr weights;
  int source, scratch, target;
  Panels panels;
  Range range;
};

struct PoolStep {
  int source, target, from_block, to_block;
};

struct AddStep {
  int a, b, target;
  Rows rows;
};

// Per target pixel along one side: the two source pixels around it, and the weight of the second.
struct ResizeTable {
  std::vector<int> first, second;
  std::vector<float> weight;
};

// Bilinear, to the target's size.
struct ResizeStep {
  int source, target;
  bool align_corners;
  Rows rows;
  ResizeTable columns, source_rows;  // filled in by Program::add
};

// Copies all channels of `source` to the channels of `target` from `channel` on.
struct ConcatStep {
  int source, target, channel;
  Rows rows;
};

// Rows of a buffer into a planar output.
struct EmitStep {
  int source, output;
  Rows rows;
};

// Waits until all threads are here.
struct BarrierStep {};

using Step = std::variant<PadStep, StemStep, ProductStep, DepthwiseStep, ExpandDepthwiseStep, PooledProductStep, PoolStep, AddStep,
                          ResizeStep, ConcatStep, EmitStep, BarrierStep>;

}  // namespace mobilenet
