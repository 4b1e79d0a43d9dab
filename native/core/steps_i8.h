// The steps of int8 networks. They compute bytes where those of steps.h compute float32; docs/numerics.md has the arithmetic.
#pragma once

#include "step_parts.h"

namespace mobilenet::i8 {

// The planes of the image become pixels of bytes: see `PixelCall`. Floats travel as their bits.
struct PixelStep {
  int target;
  Span rows;
  Rounding rounding;
  float factor[3], offset[3];

  template <class Read>
  void fields(Read read) {
    read(target, rows, rounding, factor[0], factor[1], factor[2], offset[0], offset[1], offset[2]);
  }
};

// Like the float32 step; the residual goes into the sums. Of real results the target is a buffer of `Number::real`.
struct ProductStep {
  ProductWeightsPtr weights;
  Window window;
  int source, target, residual;
  Span rows, panels;

  template <class Read>
  void fields(Read read) { read(weights, window, source, target, residual, rows, panels); }
};

struct DepthwiseStep {
  DepthwiseWeightsPtr weights;
  Window window;
  int source, target;
  Span rows, panels;
  std::vector<RowTable> tables = {};  // of full panels and of the last one; filled in by Program::add

  template <class Read>
  void fields(Read read) { read(weights, window, source, target, rows, panels); }
};

struct ExpandDepthwiseStep {
  ProductWeightsPtr expand;
  DepthwiseWeightsPtr depthwise;
  Window window;
  int source, ring, target;
  Span expanded, rows, panels;
  std::vector<RowTable> tables = {};

  template <class Read>
  void fields(Read read) { read(expand, depthwise, window, source, ring, target, expanded, rows, panels); }
};

struct PooledProductStep {
  ProductWeightsPtr weights;
  int source, scratch, target;
  Span panels;
  Rescale mean;

  template <class Read>
  void fields(Read read) { read(weights, source, scratch, target, panels, mean); }
};

struct GlobalPoolStep {
  int source, target;
  Span panels;
  Rescale mean;

  template <class Read>
  void fields(Read read) { read(source, target, panels, mean); }
};

// `target` may be one of the two others.
struct AddStep {
  int a, b, target;
  Span rows, panels;
  Addition by;

  template <class Read>
  void fields(Read read) { read(a, b, target, rows, panels, by); }
};

// How a resize blends four bytes.
enum class Blend {
  even,   // in 256ths, rounded to the nearest byte, halves to the even one: our own networks
  real,   // in float32, halves up: TensorFlow's networks of uint8
  fine    // in 1024ths, bytes less 128, halves away from 0: TensorFlow's of int8
};
constexpr int kBlends = 3;

constexpr int kEvenBits = 8, kFineBits = 10;  // of a blend's weights along one side

// For each target pixel along one side: the two source pixels around it, and the weight of the second.
struct BlendTable {
  std::vector<int> first, second;
  std::vector<float> weight;
  std::vector<int> fine;  // the weight, of Blend::fine
};

// To bytes on another scale; or, of even blends, to real numbers: (blend - zero) * scale.
struct ResizeStep {
  Corners corners;
  int source, target;
  Span rows;
  Blend blend;
  Rescale to;
  int zero;
  float scale;
  std::shared_ptr<const BlendTable> table_columns = {}, table_rows = {};  // filled in by Program::add

  template <class Read>
  void fields(Read read) { read(corners, source, target, rows, blend, to, zero, scale); }
};

// Copies all channels of `source`, on another scale, to the channels of `target` from `channel` on.
struct ConcatStep {
  int source, target, channel;
  Span rows;
  Rescale scale;

  template <class Read>
  void fields(Read read) { read(source, target, channel, rows, scale); }
};

// Rows of a buffer into a planar output: real numbers as they are, bytes as (byte - zero) * scale.
struct EmitStep {
  int source, output;
  Span rows;
  int zero;
  float scale;

  template <class Read>
  void fields(Read read) { read(source, output, rows, zero, scale); }
};

}  // namespace mobilenet::i8
