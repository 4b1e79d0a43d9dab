// Proves that a step stays inside the program's buffers, the image and the outputs.
#pragma once

#include <string>

#include "program.h"

namespace mobilenet {

constexpr int kMaxSide = 1 << 15;  // pixels of a side, strides, dilations
constexpr int kMaxChannels = 1 << 20;

[[noreturn]] void refuse(const std::string& what);

// Throws std::invalid_argument unless `holds`. A message that has to be put together is a function: most checks hold.
inline void require(bool holds, const char* what) {
  if (!holds) refuse(what);
}
template <class Message>
void require(bool holds, Message message) {
  if (!holds) refuse(message());
}

void check(const Program& program, const Step& step);

}  // namespace mobilenet
