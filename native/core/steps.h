// The steps of a program, and the buffers between them.
//
// A step computes some rows of one buffer from rows of others. It knows nothing of the steps before it: the plan
// (src/mobilenet/engine/plan) sees to it that the rows it reads are there, check.cc that they lie inside the arena.
// Each step lists its fields in the order of the program file; src/mobilenet/engine/plan/steps.py declares the same ones.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <variant>
#include <vector>

#include "weights.h"

namespace mobilenet {

constexpr int kMaxKernel = 15;  // rows and columns of a window; the runner keeps pointers to them on the stack

// Number types of a buffer's values, as the program file counts them.
enum class Number { f32 };

constexpr std::size_t size_of(Number) { return sizeof(float); }

// Rows of one tensor somewhere in the arena. `slots` rows are kept; row y lies in slot y % slots, so a buffer of all
// `height` rows is a whole tensor and a smaller one is a ring that later rows overwrite. `left` and `right` are columns
// of zeros for the windows of a depthwise or full convolution; a PadStep writes them. Strides count values.
struct Buffer {
  Number number;
  std::size_t offset;  // in bytes
  int channels, height, width, slots, left, right;

  int blocks() const { return blocks_of(channels); }
  long pitch() const { return static_cast<long>(left + width + right) * kBlock; }
  long block() const { return slots * pitch(); }
  std::size_t bytes() const { return static_cast<std::size_t>(blocks()) * block() * size_of(number); }
  std::size_t pitch_bytes() const { return static_cast<std::size_t>(pitch()) * size_of(number); }
  long row(int y) const { return y % slots * pitch() + left * kBlock; }  // first pixel of row y in block 0
  bool padded() const { return left + right > 0; }
};

enum class Activation { linear, relu, relu6 };

constexpr Range range_of(Activation activation) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return {activation == Activation::linear ? -infinity : 0, activation == Activation::relu6 ? 6 : infinity};
}

struct Window {
  int kernel, stride, dilation, top, left;

  int source_row(int y, int tap) const { return y * stride - top + tap * dilation; }
};

// Rows, slots, panels of weights or blocks of channels: `from` to `to`, without the latter.
struct Span {
  int from, to;
};

// The zeros left and right of a buffer's rows in some slots.
struct PadStep {
  int target;
  Span slots;

  template <class Read>
  void fields(Read read) { read(target, slots); }
};

// The image (or one of a batch) to the first tensor.
struct StemStep {
  StemWeightsPtr weights;
  Activation activation;
  Window window;
  int target;
  Span rows;

  template <class Read>
  void fields(Read read) { read(weights, activation, window, target, rows); }
};

// A 1x1 convolution, or a full one with `window.kernel` > 1; `residual` (a buffer, or -1) is added after the activation.
struct ProductStep {
  ProductWeightsPtr weights;
  Activation activation;
  Window window;
  int source, target, residual;
  Span rows, panels;

  template <class Read>
  void fields(Read read) { read(weights, activation, window, source, target, residual, rows, panels); }
};

// For DepthwiseCall: a step's rows never change, so their offsets are computed once.
using RowTable = std::vector<long>;

struct DepthwiseStep {
  DepthwiseWeightsPtr weights;
  Activation activation;
  Window window;
  int source, target;
  Span rows, blocks;
  RowTable table = {};  // filled in by Program::add

  template <class Read>
  void fields(Read read) { read(weights, activation, window, source, target, rows, blocks); }
};

// The heart of the fused block: panel by panel, `expanded` rows of the ring are computed and the depthwise convolution
// reads them while they are in the cache. A ring with fewer blocks than the expansion is shared by all panels.
struct ExpandDepthwiseStep {
  ProductWeightsPtr expand;
  Activation expand_activation;
  DepthwiseWeightsPtr depthwise;
  Activation activation;
  Window window;
  int source, ring, target;
  Span expanded, rows, panels;
  RowTable table = {};  // filled in by Program::add

  template <class Read>
  void fields(Read read) {
    read(expand, expand_activation, depthwise, activation, window, source, ring, target, expanded, rows, panels);
  }
};

// A product of which only the mean over the image is needed: each panel is computed in `scratch` and averaged at once.
struct PooledProductStep {
  ProductWeightsPtr weights;
  Activation activation;
  int source, scratch, target;
  Span panels;

  template <class Read>
  void fields(Read read) { read(weights, activation, source, scratch, target, panels); }
};

struct GlobalPoolStep {
  int source, target;
  Span blocks;

  template <class Read>
  void fields(Read read) { read(source, target, blocks); }
};

struct AddStep {
  int a, b, target;
  Span rows;

  template <class Read>
  void fields(Read read) { read(a, b, target, rows); }
};

enum class Corners { half_pixel, aligned };

// For each target pixel along one side: the two source pixels around it, and the weight of the second.
struct ResizeTable {
  std::vector<int> first, second;
  std::vector<float> weight;
};

// Bilinear, to the target's size.
struct ResizeStep {
  Corners corners;
  int source, target;
  Span rows;
  std::shared_ptr<const ResizeTable> table_columns = {}, table_rows = {};  // filled in by Program::add

  template <class Read>
  void fields(Read read) { read(corners, source, target, rows); }
};

// Copies all channels of `source` to the channels of `target` from `channel` on.
struct ConcatStep {
  int source, target, channel;
  Span rows;

  template <class Read>
  void fields(Read read) { read(source, target, channel, rows); }
};

// Rows of a buffer into a planar output.
struct EmitStep {
  int source, output;
  Span rows;

  template <class Read>
  void fields(Read read) { read(source, output, rows); }
};

// Waits until all threads are here. Not in the file: it stands between the file's stages.
struct BarrierStep {};

// In the order of the program file's kinds.
using Step = std::variant<PadStep, StemStep, ProductStep, DepthwiseStep, ExpandDepthwiseStep, PooledProductStep,
                          GlobalPoolStep, AddStep, ResizeStep, ConcatStep, EmitStep, BarrierStep>;

}  // namespace mobilenet
