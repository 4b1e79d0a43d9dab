// How tensors lie in memory. float32: nChw16c.
//
// Channels stand in blocks of 16 that lie next to each other; a tensor is [block][row][column][16]. Lanes past the last
// channel are always zero, so no kernel needs a tail: a zero times anything adds nothing.
#pragma once

#include <cstddef>

namespace mobilenet {

constexpr int kBlock = 16;

// Bytes of int8 tensors stand in panels of 64 channels, of which the last has the rest, in grains of 16: see i8/calls.h.
constexpr int kPanel = 64;
constexpr int kGrain = 16;

constexpr long kOutside = -1;  // stands for a source row above or below the image

constexpr int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }

// The values an activation lets through: ReLU6 is [0, 6], ReLU [0, inf], linear everything.
struct Range {
  float low, high;
};

}  // namespace mobilenet
