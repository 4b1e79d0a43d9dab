// Colors laid on an image: how a mask is drawn. src/mobilenet/drawing/masks.py specifies it with Pillow's own paste.
#pragma once

#include <cstdint>

namespace mobilenet {

// What is laid on a part of an image. Both maps begin at the part's upper left corner, with whole rows of `..._width`.
struct Tint {
  const std::uint8_t* opacity;  // 0 to 255, one value for `spacing` x `spacing` pixels
  int opacity_width, spacing;
  const std::uint8_t* classes;  // one for `step` x `step` pixels
  int classes_width, step;
  const std::uint8_t* colors;   // of 256 classes: red, green, blue
};

// `target` from `pixels`, both width x height pixels of 4 bytes, of which the last is kept; rounded as Pillow's paste does.
void lay(const Tint& tint, const std::uint8_t* pixels, int width, int height, std::uint8_t* target);

}  // namespace mobilenet
