// From the bytes of a decoded image to a network's input: resized as Pillow does, cut or padded, each byte looked up in its
// color's levels. Rows come in from the top in as many parts as the caller likes, and only those that the filter spans are kept.
#pragma once

#include <cstdint>
#include <vector>

#include "../kernels/kernels.h"

namespace mobilenet {

enum class Filter { kBox, kBilinear, kHamming, kBicubic, kLanczos };

// For each pixel of a part of the resized axis, the source pixels that it is made of: `taps` of them from `starts` on.
struct Axis {
  int taps;  // of each pixel; weights past the ones that count are 0
  std::vector<int> starts;
  std::vector<std::int32_t> weights;

  // `size` source pixels, of which the part from `low` to `high` becomes `target` pixels; of these, `count` from `first` on.
  // The taps of a pixel are a multiple of `group`, and lie inside the source unless it has fewer pixels than that.
  Axis(Filter filter, int size, float low, float high, int target, int first, int count, int group);
};

// Sizes are (width, height) or (x, y).
struct Geometry {
  int image[2];         // of the whole image, as it is fed
  int origin[2];        // of the part that is resized
  int part[2];          // its size; nothing outside is looked at
  float box[4];         // x0, y0, x1, y1 in the part: what becomes `resized`
  int resized[2];
  int offset[2];        // of the input in the resized image; negative if the input begins before it
  int input[2];
  bool down_first;      // the order of the two passes, of which each rounds: columns of pixels before rows
  std::uint8_t fill;    // the value of the input's pixels outside the resized image
};

class Resampler {
 public:
  // `levels` are 3 * 256 floats, `target` is 3 planes of the input's size. Both must outlive this.
  Resampler(const Geometry& geometry, Filter filter, const float* levels, float* target, const Kernels& kernels);

  // The image's rows that are looked at: from first_row() to, but not with, end_row().
  int first_row() const { return first_row_; }
  int end_row() const { return end_row_; }
  int next_row() const { return next_row_; }

  // Rows from `row` on, whole rows of the image with 4 bytes for each pixel. `row` must be at most next_row(); what came before
  // is passed over.
  void feed(const std::uint8_t* pixels, int row, int count);

 private:
  void add(const std::uint8_t* pixels);
  void emit();
  void across(const std::uint8_t* pixels, std::uint8_t* target) const;
  void down(std::uint8_t* target);

  Geometry geometry_;
  const float* levels_;
  float* target_;
  u8::Kernels kernels_;
  int place_[2], count_[2];  // of the resized image's part in the input, and its size
  Axis columns_, rows_;
  std::vector<std::int16_t> packed_;  // the columns' weights as the kernel reads them
  int first_column_ = 0;  // of the part, that is looked at
  long pitch_ = 0;        // bytes of a row that is kept
  std::vector<std::uint8_t> ring_, wide_, line_;
  std::vector<const std::uint8_t*> sources_;
  int first_row_ = 0, end_row_ = 0, next_row_ = 0;
  int emitted_ = 0;
};

}  // namespace mobilenet
