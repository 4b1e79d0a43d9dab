// What the checks of float32, bfloat16 and int8 steps share.
#pragma once

#include "../base/failure.h"
#include "check.h"

namespace mobilenet {

// Checks of one step against the program's buffers. Sides, kernels, strides and dilations are at most
// 2^15 and channels 2^20, so no product of three of them overflows 64 bits, and no row of a window 32.
struct Checks {
  const Program& program;

  const Buffer& any(int index, const char* role) const {
    require(index >= 0 && index < static_cast<int>(program.buffers.size()),
            [&] { return std::string(role) + " buffer " + decimal(index) + " does not exist"; });
    return program.buffers[index];
  }

  const Buffer& of(int index, const char* role, Number number) const {
    const Buffer& buffer = any(index, role);
    require(buffer.number == number, [&] { return std::string(role) + " buffer " + decimal(index) +
                                               ": of another number type than its step"; });
    return buffer;
  }

  void rows(const Span& rows, int height, const char* role) const {
    require(rows.from >= 0 && rows.from <= rows.to && rows.to <= height,
            [&] { return std::string(role) + " rows " + decimal(rows.from) + " to " + decimal(rows.to) +
                ": must lie within 0 to " + decimal(height); });
  }

  void same_size(const Buffer& a, const Buffer& b, const char* what) const {
    require(a.height == b.height && a.width == b.width,
            [&] { return std::string(what) + ": the buffers differ in height or width"; });
  }

  void channels(const Buffer& b, int channels, const char* role) const {
    require(b.channels == channels, [&] { return std::string(role) + " buffer has " + decimal(b.channels) +
                                        " channels, the weights " + decimal(channels); });
  }

  void window(const Window& w, int kernel) const {
    require(w.kernel == kernel && kernel >= 1 && kernel <= kMaxKernel, "window and weights differ in kernel, or it is past 15");
    require(w.stride >= 1 && w.stride <= kMaxSide && w.dilation >= 1 && w.dilation <= kMaxSide && w.top >= 0 &&
                w.top <= kMaxSide && w.left >= 0 && w.left <= kMaxSide,
            "window outside its range");
  }

  // Every window of `target` must find its columns between the padding left and right of `source`.
  void within_columns(const Window& w, const Buffer& source, const Buffer& target) const {
    const long first = source.left - w.left;
    const long last = first + (target.width - 1L) * w.stride + (w.kernel - 1L) * w.dilation;
    require(first >= 0 && last < source.left + source.width + source.right,
            "windows leave the source's columns; it needs more padding");
  }

  // The same, where the rows above and below the source are zeros.
  void columns(const Window& w, const Buffer& source, const Buffer& target) const {
    within_columns(w, source, target);
    require(source.pitch_bytes() <= program.zero_bytes, "fewer zeros than a row of the source");
  }

  void product(const Window& w, const Buffer& source, const Buffer& target) const {
    require(w.top == 0 && w.left == 0, "a 1x1 window takes no padding");
    same_size(source, target, "product");
  }

  void addend(const Buffer& residual, const Buffer& target) const {
    channels(residual, target.channels, "residual");
    same_size(residual, target, "residual");
  }
};

}  // namespace mobilenet
