// The steps of int8 networks. They compute bytes where those of steps.h compute float32; docs/numerics.md has the arithmetic.
#pragma once

#include "step_parts.h"

namespace mobilenet::i8 {

// sum * k / 2^shift, rounded, from one zero point to another.
struct Rescale {
  int k, shift, source_zero, zero;
};

// The planes of the image become pixels of bytes: RNE(x * factor + offset) for each color. Floats travel as their bits.
struct PixelStep {
  int target;
  Span rows;
  float factor[3], offset[3];

  template <class Read>
  void fields(Read read) {
    read(target, rows, factor[0], factor[1], factor[2], offset[0], offset[1], offset[2]);
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

// Two bytes, each less its zero point and times its factor in 2^-14, and one rounding.
struct AddStep {
  int a, b, target;
  Span rows;
  int factor_a, zero_a, factor_b, zero_b, zero;

  template <class Read>
  void fields(Read read) { read(a, b, target, rows, factor_a, zero_a, factor_b, zero_b, zero); }
};

// For each target pixel along one side: the two source pixels around it, and the weight of the second in 256ths.
struct BlendTable {
  std::vector<int> first, second, weight;
};

// To bytes of the same scale, or to real numbers: (blend - zero) * scale.
struct ResizeStep {
  Corners corners;
  int source, target;
  Span rows;
  int zero;
  float scale;
  std::shared_ptr<const BlendTable> table_columns = {}, table_rows = {};  // filled in by Program::add

  template <class Read>
  void fields(Read read) { read(corners, source, target, rows, zero, scale); }
};

// Copies all channels of `source`, on another scale, to the channels of `target` from `channel` on.
struct ConcatStep {
  int source, target, channel;
  Span rows;
  Rescale scale;  // k 0: the bytes as they are

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
