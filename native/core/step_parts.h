// What steps are made of: buffers, windows, spans of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <variant>
#include <vector>

#include "weights.h"
#include "weights_bf16.h"
#include "weights_i8.h"

namespace mobilenet {

constexpr int kMaxKernel = 15;  // rows and columns of a window; the runner keeps pointers to them on the stack

// What a buffer holds, as the program file counts them: float32 in blocks of 16 channels; bytes in panels of 64; the image's
// pixels of four bytes; real numbers, float32, in panels like the bytes they come from; bfloat16 in blocks of 32.
enum class Number { f32, u8, pixels, real, bf16 };
constexpr int kNumbers = 5;

// How values of one number type lie: `block` channels side by side, the last block's rounded up to `grain`.
struct Layout {
  int itemsize, block, grain;
};

constexpr Layout layout_of(Number number) {
  switch (number) {
    case Number::u8: return {.itemsize = 1, .block = kPanel, .grain = kGrain};
    case Number::pixels: return {.itemsize = 1, .block = 4, .grain = 4};
    case Number::real: return {.itemsize = 4, .block = kPanel, .grain = kGrain};
    case Number::bf16: return {.itemsize = 2, .block = bf16::kWide, .grain = bf16::kWide};
    default: return {.itemsize = 4, .block = kBlock, .grain = kBlock};
  }
}

// Rows of one tensor somewhere in the arena. `slots` rows are kept; row y lies in slot y % slots, so a buffer of all
// `height` rows is a whole tensor and a smaller one is a ring that later rows overwrite. `left` and `right` are columns
// of padding for the windows of a depthwise or full convolution; a PadStep writes them. Four bytes at a time it is `zero`: what
// stands for a real 0.
struct Buffer {
  Number number;
  std::size_t offset;  // in bytes
  int channels, height, width, slots, left, right;
  std::uint32_t zero;

  Layout layout() const { return layout_of(number); }
  int blocks() const { return (channels + layout().block - 1) / layout().block; }
  int columns() const { return left + width + right; }
  bool padded() const { return left + right > 0; }
  std::size_t bytes() const { return (blocks() - 1) * block_bytes() + slots * pitch_bytes(blocks() - 1); }

  // In bytes; of block `b`, since the last may be narrower.
  long pixel_bytes(int b) const {
    const Layout l = layout();
    const int rest = channels - b * l.block;
    return static_cast<long>(rest < l.block ? (rest + l.grain - 1) / l.grain * l.grain : l.block) * l.itemsize;
  }
  std::size_t pitch_bytes(int b = 0) const { return static_cast<std::size_t>(columns()) * pixel_bytes(b); }
  std::size_t block_bytes() const { return slots * static_cast<std::size_t>(columns()) * layout().block * layout().itemsize; }
  long row_bytes(int y, int b) const { return (static_cast<long>(y % slots) * columns() + left) * pixel_bytes(b); }

  // Of float32 blocks, in values.
  long pitch() const { return static_cast<long>(columns()) * kBlock; }
  long block() const { return slots * pitch(); }
  long row(int y) const { return y % slots * pitch() + left * kBlock; }  // first pixel of row y in block 0
};

enum class Activation { linear, relu, relu6 };
constexpr int kActivations = 3;

constexpr Range range_of(Activation activation) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  return {activation == Activation::linear ? -infinity : 0, activation == Activation::relu6 ? 6 : infinity};
}

struct Window {
  int kernel, stride, dilation, top, left;

  int source_row(int y, int tap) const { return y * stride - top + tap * dilation; }
  bool is_product() const { return kernel == 1 && stride == 1; }  // each pixel alone, as a product of matrices
};

// Rows, slots, panels of weights or blocks of channels: `from` to `to`, without the latter.
struct Span {
  int from, to;
};

// For DepthwiseCall: a step's rows never change, so their offsets are computed once.
using RowTable = std::vector<long>;

enum class Corners { half_pixel, aligned };
constexpr int kCorners = 2;

}  // namespace mobilenet
