// The int8 steps of one image's run.
#pragma once

#include "run.h"

namespace mobilenet::i8 {

struct RunI8 : Run {
  const Kernels& kernels = program.kernels.i8;

  void operator()(const PixelStep& step) const;
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
  std::uint8_t* start(const Buffer& b, int panel) const {
    return reinterpret_cast<std::uint8_t*>(arena + b.offset) + panel * b.block_bytes();
  }
  std::uint8_t* row(const Buffer& b, int panel, int y) const { return start(b, panel) + b.row_bytes(y, panel); }
  const std::uint8_t* border(const Buffer& source) const {
    return reinterpret_cast<const std::uint8_t*>(arena + program.border_of(source.zero)->offset);
  }
  void pixel_row(const PixelStep& step, const std::uint8_t* from, std::uint8_t* to) const;
  ProductCall call(const ProductWeights& w, int panel, const Buffer& target, int place) const;
  void product(const ProductWeights& w, int panel, const Buffer& source, const Buffer& target, int place,
               const Buffer* residual, Span rows) const;
  void convolution(const ProductStep& step, int panel) const;
  void depthwise(const DepthwiseWeights& w, const Window& window, const std::vector<RowTable>& tables, int panel,
                 const Buffer& source, int place, const Buffer& target) const;
  void pool(const Buffer& source, int place, const Buffer& target, int panel, const Rescale& mean) const;
  void resize_fine(const ResizeStep& step, const std::uint8_t* scaled) const;
};

}  // namespace mobilenet::i8
