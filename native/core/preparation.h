// How an image of any size comes into a network's input: the numbers of `Preprocessing` (src/mobilenet/images/preprocessing.py), and
// the same arithmetic.
#pragma once

#include <cstdint>

#include "reader.h"
#include "resample.h"

namespace mobilenet {

enum class Fit { center_crop, central_fraction, central_part, squash, pad };
constexpr int kFits = 5;
constexpr int kFilters = 6;  // those of `Filter`, then nearest, which is not computed here

struct Preparation {
  int height, width;  // of the input
  Fit fit;
  int resize;       // the shorter side of the resized image; of center_crop
  double fraction;  // of the sides; of central_fraction and central_part
  int fill;         // of pad
  double enlarge;   // the largest factor, or 0 for no limit; of pad
  int filter;
  bool down_first;      // whether the resize ever goes down before across, as newer Pillows do
  const float* levels;  // (3, 256): what a byte becomes; in the bytes that were read
};

// Throws std::invalid_argument on numbers outside their ranges.
Preparation read_preparation(Reader& reader);

// Fills `input`, 3 planes of the preparation's size, from rows of pixels of `channels` bytes, 3 or 4. Throws std::invalid_argument if
// the image or its resized copy is too large, or if the filter is `nearest`.
void prepare(const Preparation& preparation, const std::uint8_t* pixels, int width, int height, int channels, std::size_t row_bytes,
             float* input, const Kernels& kernels);

}  // namespace mobilenet
