// The steps of a program.
//
// A step computes some rows of one buffer from rows of others. It knows nothing of the steps before it: the plan
// (src/mobilenet/engine/plan) sees to it that the rows it reads are there, check.cc that they lie inside the arena.
// Each step lists its fields in the order of the program file; src/mobilenet/engine/plan/steps.py declares the same ones.
#pragma once

#include "steps_i8.h"

namespace mobilenet {

// The padding left and right of a buffer's rows in some slots.
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
template <class Products>
struct ProductStepOf {
  Products weights;
  Activation activation;
  Window window;
  int source, target, residual;
  Span rows, panels;

  template <class Read>
  void fields(Read read) { read(weights, activation, window, source, target, residual, rows, panels); }
};

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
template <class Products>
struct ExpandDepthwiseStepOf {
  Products expand;
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
template <class Products>
struct PooledProductStepOf {
  Products weights;
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
  Span rows, blocks;

  template <class Read>
  void fields(Read read) { read(a, b, target, rows, blocks); }
};

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

using ProductStep = ProductStepOf<ProductWeightsPtr>;
using ExpandDepthwiseStep = ExpandDepthwiseStepOf<ProductWeightsPtr>;
using PooledProductStep = PooledProductStepOf<ProductWeightsPtr>;

// The steps of a network whose products read bfloat16. Other buffers may be float32; spans count blocks of 32 channels.
namespace bf16 {

using ProductStep = ProductStepOf<ProductWeightsPtr>;
using ExpandDepthwiseStep = ExpandDepthwiseStepOf<ProductWeightsPtr>;
using PooledProductStep = PooledProductStepOf<ProductWeightsPtr>;
struct StemStep : mobilenet::StemStep {};
struct DepthwiseStep : mobilenet::DepthwiseStep {};
struct GlobalPoolStep : mobilenet::GlobalPoolStep {};
struct AddStep : mobilenet::AddStep {};
struct ResizeStep : mobilenet::ResizeStep {};
struct ConcatStep : mobilenet::ConcatStep {};
struct EmitStep : mobilenet::EmitStep {};

}  // namespace bf16

// In the order of the program file's kinds: float32, int8, bfloat16.
template <class... More>
using StepOr = std::variant<PadStep, StemStep, ProductStep, DepthwiseStep, ExpandDepthwiseStep, PooledProductStep,
                          GlobalPoolStep, AddStep, ResizeStep, ConcatStep, EmitStep, i8::PixelStep, i8::ProductStep,
                          i8::DepthwiseStep, i8::ExpandDepthwiseStep, i8::PooledProductStep, i8::GlobalPoolStep, i8::AddStep,
                          i8::ResizeStep, i8::ConcatStep, i8::EmitStep, More...>;
#ifdef MOBILENET_NO_BF16  // for what must be small: programs of bfloat16 are refused
using Step = StepOr<>;
#else
using Step = StepOr<bf16::StemStep, bf16::ProductStep, bf16::DepthwiseStep, bf16::ExpandDepthwiseStep, bf16::PooledProductStep,
                    bf16::GlobalPoolStep, bf16::AddStep, bf16::ResizeStep, bf16::ConcatStep, bf16::EmitStep>;
#endif

}  // namespace mobilenet
