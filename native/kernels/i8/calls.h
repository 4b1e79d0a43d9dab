// What an int8 kernel is asked to do. Activations are bytes with a zero point, weights int8, sums int32; docs/numerics.md has
// the arithmetic and reference.h the loops.
//
// Channels stand in panels of 64 that lie one after another: a tensor is [panel][row][column][64]. Its last panel is narrower:
// the channels that are left, rounded up to 16. Whoever computes a panel writes all its bytes; what stands past the last
// channel is multiplied by zero weights only.
#pragma once

#include <cstdint>

#include "../layout.h"

namespace mobilenet::i8 {

constexpr int kShift = 22;                    // a multiplier k stands for k / 2^22
constexpr float kMagic = 12582912.0f;         // 1.5 * 2^23: a float32 of this size has no bits behind the point,
constexpr std::int32_t kMagicBits = 0x4B400000;  // and as an integer, kMagicBits + n is the float kMagic + n for |n| < 2^22
constexpr int kSlots = kPanel;                // constants of a panel: one for each channel, in the order of the kernels

// How sums become bytes. In networks of our own: clamp(zero + RNE(sum * k / 2^22)).
enum class Form {
  plain,    // |sum| < 2^22 and the result fits 16 bits, whatever the inputs; zero and low are 0, high is 255
  shifted,  // the same with any zero, low and high
  general,  // |sum| < 2^24; with a residual or without
  real,     // the sum times a float32 scale, as float32
  // In TensorFlow's networks: clamp(zero + the sum times fraction * 2^(exponent - 31), rounded twice); see `fixed_point`.
  fixed,  // with integers
  proved  // the nearest integer to fma(sum, scale, offset with the sum's sign): the same for every sum (core/fixed_point.h)
};

// The constants of one panel, kSlots of each. Sums begin at `bias`; for `plain` and `shifted` at kMagicBits more, so that the
// sum is a float as it stands and one fused multiply-add, fma(sum, scale, offset), rounds it exactly.
struct Requantize {
  Form form;
  int zero, low, high;
  const std::int32_t* bias;
  const float* scale;   // k / 2^22, or the scale of real results
  const float* offset;  // 3 * (2^22 - k)
  const std::int32_t *fraction, *exponent;  // of `fixed` and `proved`
};

// Four input channels at one kernel position, whose weights are more than 8 bits hold: what is left of them is added to the sums
// by one more dot product.
struct More {
  int tap, panel, quad;  // of the source; panel `full_panels` is the last
};

// The first pixel that a kernel position sees: in the first panel of channels, `panel` bytes before the next full one; and in
// the last panel, whose pixels are narrower.
struct Tap {
  const std::uint8_t* full;
  long panel;
  const std::uint8_t* last;
};

// A 1x1 or full convolution for `pixels` pixels that lie one after another in the source, and one panel of channels. In the target
// they are rows, which may lie apart. The source's panels have pixels of 64 bytes, its last one of `narrow` bytes.
struct ProductCall {
  const Tap* taps;  // one for each kernel position; those outside the image point to its zero points
  int tap_count;
  int stride;       // source pixels from one output to the next
  int full_panels;  // of the source, before the last
  int narrow;       // bytes of a pixel in the last: 4 for the image, or 16, 32, 48, 64
  int quads;        // groups of 4 input channels in the last panel
  const std::int8_t* weights;  // packed: see core/weights_i8.h
  const More* more;
  int more_count;
  const std::int8_t* more_weights;
  Requantize requantize;
  int width;         // channels of the target panel, rounded up to 16
  int target_pixel;  // values from pixel to pixel: `width`, or 64 in a ring that panels share
  void* target;      // bytes, or float32 if the form is real
  const std::uint8_t* residual;  // laid out as the target, or null
  const std::int32_t* factor;    // kSlots: what the residual is multiplied with in the sum
  int pixels;
  int row_pixels;  // of the target; `pixels` is a multiple
  long row;        // values from row to row of the target

  // Where a pixel goes in the target, in values.
  long place(int pixel) const {
    if (row_pixels == pixels) return static_cast<long>(pixel) * target_pixel;
    return pixel / row_pixels * row + static_cast<long>(pixel % row_pixels) * target_pixel;
  }

  // Four input channels of a pixel.
  const std::uint8_t* quad(const More& m, int pixel) const {
    const bool full = m.panel < full_panels;
    const std::uint8_t* source = full ? taps[m.tap].full + m.panel * taps[m.tap].panel : taps[m.tap].last;
    return source + static_cast<long>(pixel) * stride * (full ? kPanel : narrow) + m.quad * 4;
  }
};

// Some output rows of one panel. For each row `offsets` holds where its first pixel goes in `target`, then where its first
// window begins in each of `kernel` rows of `source`, or kOutside if that row is outside the image.
struct DepthwiseCall {
  const long* offsets;
  int rows;
  const std::uint8_t *source, *border;  // border: a row of zero points
  const std::int8_t* weights;           // packed: see core/weights_i8.h
  int passes;                           // over the window; more than one if weights are more than 8 bits hold
  long pass;                            // bytes from a pass's weights to the next
  Requantize requantize;
  int source_pixel;  // bytes of a pixel
  int width;         // of the target: channels of the panel, rounded up to 16
  std::uint8_t* target;
  int pixels, kernel, stride, dilation;

  const std::uint8_t* row(const long* offset) const { return *offset == kOutside ? border : source + *offset; }
  int weight(long at) const {  // of all passes
    int sum = 0;
    for (int i = 0; i < passes; ++i) sum += weights[i * pass + at];
    return sum;
  }
};

// The roundings of what has no weights.
enum class Rounding {
  even,    // our own: to the nearest integer, halves to the even one
  fixed,   // TensorFlow's multipliers: see `fixed_point`
  divided  // a quotient of integers to the nearest, halves away from 0
};
constexpr int kRoundings = 3;

// A sum becomes a byte: zero + (sum - source_zero) scaled, from 0 to 255. Scaled is times factor / 2^shift (even), times
// factor * 2^(shift - 31) (fixed), or divided by factor.
struct Rescale {
  Rounding rounding;
  int factor, shift, source_zero, zero;
};

// One of the two tensors of an addition.
struct Term {
  int zero, factor, shift;
};

// Two bytes, each less its zero point. Even: times its factor in 2^-14, and one rounding of the sum. Fixed: 20 bits finer and
// scaled, then the sum scaled.
struct Addition {
  Rounding rounding;  // even or fixed
  Term a, b, sum;     // of the sum, even: only the zero point
};

struct AddCall {
  const std::uint8_t *a, *b;
  std::uint8_t* target;  // may be one of them
  long count;            // a multiple of 16
  Addition by;
};

// A row of a bilinear resize for one panel: the sums of four bytes times the weights of their row and of their column, in float32 and in
// the order above left, below left, above right, below right. Where `one` is 256, all of it is exact.
struct ResizeCall {
  const std::uint8_t *above, *below;
  const int *first, *second;  // the source pixels beside each target pixel
  float one, down;            // the weight of `below`, of `one`
  const float* across;        // the weights of `second`
  int width;                  // bytes of a pixel, a multiple of 16
  int pixels;
  std::uint8_t* target;  // halves up; or if `one` is 256, sums / 2^16, halves to even; or, if it is null,
  float* real;           // (sum - zero) * scale
  float zero, scale;
};

// A row of bytes into planes: of real numbers, (byte - zero) * scale, or of the bytes.
struct EmitCall {
  const std::uint8_t* source;
  int width;     // bytes of a pixel, a multiple of 16
  int channels;  // that are written
  int pixels, zero;
  float scale;
  float* target;         // or null:
  std::uint8_t* bytes;
  long plane;  // values from plane to plane
};

// A row of the image, from three planes of real numbers to pixels of four bytes, the last of them 0. Each color is
// RNE(x * factor + offset) in double precision (even), or the integer nearest to x / factor in float32, halves away from 0, plus
// offset (divided); from 0 to 255.
struct PixelCall {
  Rounding rounding;
  const float* planes[3];
  const float *factor, *offset;  // of each color
  std::uint8_t* target;
  int pixels;
};

// What weights are packed for.
struct Packing {
  int lanes;  // sums in a register
  bool wide;  // a product's weights have 16 bits: in a register's place, those of even inputs, then those of odd ones

  bool operator==(const Packing&) const = default;
  int bytes() const { return lanes * (wide ? 8 : 4); }  // of a register's product weights for four inputs
  // Where the four inputs of the output in `slot` begin, from the start of the part's registers.
  long place(int slot) const { return static_cast<long>(slot / lanes) * bytes() + slot % lanes * 4; }
};

// The int8 kernels.
struct Kernels {
  Packing packing;
  void (*product)(const ProductCall&);
  void (*depthwise)(const DepthwiseCall&);
  void (*accumulate)(const std::uint8_t* pixels, long count, int width, std::int32_t* sums);  // sums[width] += all pixels
  void (*add)(const AddCall&);
  void (*resize)(const ResizeCall&);
  void (*emit)(const EmitCall&);
  void (*pixels)(const PixelCall&);
  void (*begin)();  // before and after the steps of a thread; null if there is nothing to do
  void (*end)();
};

// Where a channel's constants stand among those of the panel, and so its weights in a register.
//
// A part is `vectors` registers of `lanes` sums, computed together. Packing four registers of sums to one of bytes interleaves
// them within each 128 bits, so sums stand in the order that packing undoes: register j holds in its 128 bits number l the
// channels 4 (vectors l + j) to 4 (vectors l + j) + 3. Real results are not packed to bytes and stand in order.
constexpr int slot_of(int channel, int vectors, int lanes, bool real) {
  if (real) return channel;
  const int group = channel / 4;
  return group % vectors * lanes + group / vectors * 4 + channel % 4;
}

// Registers of the part of a product's panel that begins `channels` channels before the panel's end.
constexpr int part_vectors(int channels, int lanes) {
  for (int vectors = 1; vectors < 4; vectors *= 2)
    if (vectors * lanes >= kGrain && channels <= vectors * lanes) return vectors;
  return 4;
}

}  // namespace mobilenet::i8
