// What a kernel is asked to do: plain structs of pointers and sizes, and one table of functions per instruction set.
//
// Strides are in floats. Kernels trust their arguments; `program.cc` has checked them.
#pragma once

#include "block.h"

namespace mobilenet {

constexpr long kOutside = -1;

// target[pixel] = clamp(bias + sum over taps and channels of source * weights) + residual, for `pixels` pixels of a row
// (or of several rows that lie next to each other) and the channels of one panel.
struct ProductCall {
  const float* const* taps;  // first pixel as each kernel position sees it; one for a 1x1 convolution
  int tap_count;             // positions that lie inside the picture,
  int first_tap, all_taps;   // from this one on, of so many in the weights
  int pixel_step;     // between the pixels of the source: 16, or 32 at stride 2
  long source_block;  // between channel blocks
  int depth;          // input channels, rounded up to 4
  const float* weights;  // packed: see weights.h
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

// One block of channels, some output rows. `offsets` has, row by row, where its first pixel goes in `target`, then where
// its first window begins in each of `kernel` rows of `source`, or kOutside where the window leaves the picture.
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

// One output row from a planar picture: 3 * kernel source rows, channel by channel, each `width` pixels without padding.
struct StemCall {
  const float* const* rows;
  int width, left;       // columns of the picture; zeros before them
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
  const int* column;   // source column left of each target pixel
  const int* next;     // and right of it
  const float* right;  // weight of the latter
  float* target;
  int pixels;
};

// Packed weights of one input channel in a part of `blocks` blocks: a half takes a whole register where registers are as
// wide as a block (its 8 channels twice, for two pixels), and half a block where they are narrower.
constexpr int packed_width(int blocks, bool half, int lanes) {
  return blocks * kBlock - (half && lanes < kBlock ? kBlock / 2 : 0);
}

struct Kernels {
  const char* name;
  int lanes;        // floats in a register
  int tile_blocks;  // channel blocks a product holds in registers at once: the width of a packed panel's parts
  void (*product)(const ProductCall&);
  void (*depthwise)(const DepthwiseCall&);
  void (*stem)(const StemCall&);
  void (*resize)(const ResizeCall&);
  void (*add)(const float* a, const float* b, float* sum, long count);          // count is a multiple of 16
  void (*accumulate)(const float* pixels, long count, float scale, float* sum);  // sum[16] = scale * (sum + all pixels)
};

extern const Kernels kScalar;
#ifdef MOBILENET_X86
extern const Kernels kAvx2, kAvx512;
#endif

}  // namespace mobilenet
