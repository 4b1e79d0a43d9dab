// Proves that a step stays inside the program's buffers, the image and the outputs.
#pragma once

#include <string>

#include "program.h"

namespace mobilenet {

constexpr int kMaxSide = 1 << 15;  // pixels of a side, strides, dilations
constexpr int kMaxChannels = 1 << 20;

// Throws std::invalid_argument unless `holds`.
void require(bool holds, const std::string& what);

void check(const Program& program, const Step& step);

}  // namespace mobilenet
