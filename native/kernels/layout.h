// How a float32 tensor lies in memory: nChw16c.
//
// Channels stand in blocks of 16 that lie next to each other; a tensor is [block][row][column][16]. Lanes past the last
// channel are always zero, so no kernel needs a tail: a zero times anything adds nothing.
#pragma once

#include <cstddef>

namespace mobilenet {

constexpr int kBlock = 16;

constexpr int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }

// The values an activation lets through: ReLU6 is [0, 6], ReLU [0, inf], linear everything.
struct Range {
  float low, high;
};

}  // namespace mobilenet
