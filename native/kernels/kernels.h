// What a kernel is asked to do: plain structs of pointers and sizes, and one table of functions for each number type.
//
// Strides count values, not bytes. Kernels trust their arguments: core/check.cc has checked them. reference.h defines what
// each call computes.
#pragma once

#include "bf16/calls.h"
#include "i8/calls.h"
#include "layout.h"
#include "u8/calls.h"

namespace mobilenet {

// target[pixel] = clamp(bias + sum over taps and channels of source * weights) + residual, for `pixels` pixels of one row
// (or of several rows that lie next to each other) and the channels of one panel.
struct ProductCall {
  const float* const* taps;  // the first pixel as each kernel position sees it; one pointer for a 1x1 convolution
  int tap_count;             // positions that lie inside the image
  int first_tap;             // the first of them
  int all_taps;              // positions in the weights
  int pixel_step;            // between pixels of the source: 16, or 32 at stride 2
  long source_block;         // between channel blocks of the source
  int depth;                 // input channels, rounded up to 4
  const float* weights;      // packed: see core/weights.h
  const float* bias;
  int blocks;  // of output channels in this panel
  bool half;   // the last of them has 8 channels or fewer; never in a panel of 3
  float* target;
  long target_block;
  const float* residual;  // or null
  long residual_block;
  int pixels;
  Range range;
};

// Some output rows of one channel block. For each row `offsets` holds where its first pixel goes in `target`, then where
// its first window begins in each of `kernel` rows of `source`, or kOutside if that row is outside the image.
struct DepthwiseCall {
  const long* offsets;
  int rows;
  const float *source, *zeros;
  const float* weights;  // [kernel * kernel][16]
  const float* bias;
  float* target;
  int pixels, kernel, stride, dilation;
  Range range;

  const float* row(const long* offset) const { return *offset == kOutside ? zeros : source + *offset; }
};

// One output row from a planar image: 3 * kernel source rows, plane by plane, each `width` pixels without padding.
struct StemCall {
  const float* const* rows;
  int width;             // of the image
  int left;              // columns of zeros before it
  const float* weights;  // [block][3 * kernel * kernel][16]
  const float* bias;
  int blocks;
  float* target;
  long target_block;
  int pixels, kernel, stride, dilation;
  Range range;
};

// One row of a bilinear resize for one block: target = (1 - down) * (blend of above) + down * (blend of below).
struct ResizeCall {
  const float *above, *below;
  float down;
  const int* column;   // the source column to the left of each target pixel
  const int* next;     // and the one to its right
  const float* right;  // weight of the latter
  float* target;
  int pixels;
};

// How many values each input channel has in a packed part of `blocks` blocks, the last of which may be half used (8 channels).
// The half takes 8 values if registers are narrower than a block. Otherwise it takes a register: its 8 channels twice, so that
// one instruction serves two pixels.
constexpr int packed_width(int blocks, bool half, int lanes) {
  return blocks * kBlock - (half && lanes < kBlock ? kBlock / 2 : 0);
}

// The float32 kernels.
struct F32 {
  int lanes;        // floats in a register
  int tile_blocks;  // channel blocks that a product holds in registers at once: the width of a packed panel's parts
  void (*product)(const ProductCall&);
  void (*depthwise)(const DepthwiseCall&);
  void (*stem)(const StemCall&);
  void (*resize)(const ResizeCall&);
  void (*add)(const float* a, const float* b, float* sum, long count);           // count is a multiple of 16
  void (*accumulate)(const float* pixels, long count, float scale, float* sum);  // sum[16] = scale * (sum + all pixels)
};

// The kernels this process runs, a member for each number type. Every instruction set overwrites what it does better than
// the one before it (see isa/isa.cc).
struct Kernels {
  const char* name;  // of the last instruction set that wrote
  F32 f32;
  i8::Kernels i8;
  u8::Kernels u8;
  bf16::Kernels bf16;  // in plain loops but for those of a tile unit
};

}  // namespace mobilenet
