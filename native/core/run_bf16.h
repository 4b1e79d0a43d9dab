// The steps of one image's run in bfloat16 and float32.
#pragma once

#include "run.h"

namespace mobilenet::bf16 {

struct RunBf16 : Run {
  const Kernels& kernels = program.kernels.bf16;

  void operator()(const StemStep& step) const;
  void operator()(const ProductStep& step) const;
  void operator()(const DepthwiseStep& step) const;
  void operator()(const ExpandDepthwiseStep& step) const;
  void operator()(const PooledProductStep& step) const;
  void operator()(const GlobalPoolStep& step) const;
  void operator()(const AddStep& step) const;
  void operator()(const ResizeStep& step) const;
  void operator()(const ConcatStep& step) const;
  void operator()(const EmitStep& step) const;

 private:
  Sixteen sixteen(const Buffer& b, int group, int y) const;
  void clear_rest(const Buffer& target, int groups, Span rows) const;
  void product(const ProductWeights& w, int panel, const Buffer& source, const Buffer& target, int place,
               const Buffer* residual, Span rows, Range range) const;
  void convolution(const ProductStep& step, int panel) const;
  void mean(const Buffer& source, int place, const Buffer& target, int group) const;
};

}  // namespace mobilenet::bf16
