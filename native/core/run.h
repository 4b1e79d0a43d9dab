// One image's run: what the steps of every number type see of it.
#pragma once

#include <cstring>

#include "program.h"

namespace mobilenet {

// Bytes that kernels may read past the arena: whole registers, of which the last values do not count.
constexpr std::size_t kOverread = 4096;

// `value`, four bytes at a time.
inline void fill(std::byte* target, std::size_t bytes, std::uint32_t value) {
  if (value % 0x01010101 == 0) {
    std::memset(target, static_cast<int>(value & 255), bytes);
    return;
  }
  for (std::size_t i = 0; i + sizeof(value) <= bytes; i += sizeof(value)) std::memcpy(target + i, &value, sizeof(value));
}

struct Run {
  const Program& program;
  std::byte* arena;
  const float* image;  // planes
  const OutputPlace* outputs;
  const std::uint8_t* pixels = nullptr;  // instead of `image`, 3 bytes each
  const float* levels = nullptr;         // (3, 256): what the bytes become

  const Buffer& at(int index) const { return program.buffers[index]; }

  // Rows from `y` on that lie one after another in the buffer, so that they are one run of pixels.
  static int consecutive(const Buffer& b, int y) { return b.padded() ? 1 : b.slots - y % b.slots; }

  void pad(const PadStep& s) const {
    const Buffer& b = at(s.target);
    for (int block = 0; block < b.blocks(); ++block)
      for (int slot = s.slots.from; slot < s.slots.to; ++slot) {
        const long pixel = b.pixel_bytes(block);
        std::byte* first = arena + b.offset + block * b.block_bytes() + b.row_bytes(slot, block);
        fill(first - b.left * pixel, static_cast<std::size_t>(b.left * pixel), b.zero);
        fill(first + b.width * pixel, static_cast<std::size_t>(b.right * pixel), b.zero);
      }
  }
};

}  // namespace mobilenet
