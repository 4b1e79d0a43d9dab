// What a bfloat16 kernel is asked to do.
//
// A product reads bfloat16; everything else may be float32 (docs/numerics.md). A bfloat16 tensor stands in blocks of 32 channels,
// a float32 tensor in blocks of 16: a pixel of either is a cache line, so pixels are 64 bytes apart whatever they hold. What is
// computed for 16 channels at a time takes either through `Sixteen`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../layout.h"

namespace mobilenet::bf16 {

using Value = std::uint16_t;  // a bfloat16: the upper half of a float32's bits
constexpr int kWide = 32;     // channels of a block
constexpr long kPixel = 64;   // bytes of a pixel in a block
constexpr int kTileSide = 16;  // pixels and outputs of a tile
constexpr long kTileWeights = 512;  // a tile's: [16 pairs of inputs][16 outputs][2]

// 16 channels of a row of pixels.
struct Sixteen {
  std::byte* first;
  bool real;  // float32, else bfloat16
};

// Rows of a buffer, one block of channels: row y lies in slot y % slots.
struct Rows {
  std::byte* first;
  long pitch;  // bytes
  int slots;

  std::byte* row(int y) const { return first + y % slots * pitch; }
};

// One kernel position of a convolution: its first pixel in the first block of input channels, and the way to the next block.
struct Tap {
  const std::byte* first;
  long block;  // bytes
};

// target[pixel] = clamp(bias + sum over taps and inputs of source * weights) + residual, for one panel of up to 32 outputs.
struct ProductCall {
  const Tap* taps;
  int tap_count;
  int stride;            // pixels
  int depth;             // blocks of 32 inputs
  const Value* weights;  // [tap][block of inputs][half of the outputs][tile]
  const float* bias;
  int halves;           // groups of 16 outputs: 1 or 2
  Sixteen target[2];    // the second is null where float32 has no room for it
  Sixteen residual[2];  // null if there is none
  int pixels;
  Range range;
};

// Some output rows of 16 channels. `offsets` holds for each row, in bytes, where its first pixel goes and where its first window
// begins in each of `kernel` rows of the source, or kOutside.
struct DepthwiseCall {
  const long* offsets;
  int rows;
  Sixteen source;
  Range read;  // what values of a float32 source are clamped to first: a ring holds sums
  const std::byte* zeros;
  const float* weights;  // [kernel * kernel][16]
  const float* bias;
  Sixteen target;
  int pixels, kernel, stride, dilation;
  Range range;

  const std::byte* row(long offset) const { return offset == kOutside ? zeros : source.first + offset; }
};

// The heart of the fused block, for groups of 16 channels from `first` to `last`: rows of the ring are expanded, and the
// depthwise convolution reads them. Group g has place g % places in the ring; the expansion of the next group may run during
// the depthwise convolution of this one, so there are at least two places, if there are two groups.
struct ExpandDepthwiseCall {
  Rows source;  // of the first block of inputs
  long source_block;
  int depth;             // blocks of 32 inputs
  const Value* weights;  // [panel of 32 outputs][block of inputs][half][tile]
  const float* bias;
  int from, to;  // rows to expand
  int width;
  Rows ring;  // its first pixel is the first that is no padding
  long ring_block;
  int places;
  DepthwiseCall depthwise;  // of group 0; its source is the ring's place 0
  long target_block;        // of 32 channels in bfloat16, of 16 in float32
  int first, last;
};

// target = a + b.
struct AddCall {
  Sixteen a, b, target;
  int pixels;
};

// One row of a bilinear resize: see mobilenet::ResizeCall.
struct ResizeCall {
  Sixteen above, below, target;
  float down;
  const int *column, *next;
  const float* right;
  int pixels;
};

struct Kernels {
  void (*product)(const ProductCall&);
  void (*depthwise)(const DepthwiseCall&);
  void (*expand_depthwise)(const ExpandDepthwiseCall&);
  void (*add)(const AddCall&);
  void (*copy)(Sixteen source, Sixteen target, int pixels);
  void (*resize)(const ResizeCall&);
  void (*accumulate)(Sixteen pixels, long count, float* sum);  // sum[16] += all pixels
  void (*end)();                                               // after a thread's part of a stage; null if there is nothing to do
};

}  // namespace mobilenet::bf16
