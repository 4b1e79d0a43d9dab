// A tile unit in plain loops: the tile kernel is tested with it where there is none.
#pragma once

#include <cstdint>
#include <cstring>

#include "tiles.h"

namespace mobilenet::i8 {

struct PlainTiles {
  static inline thread_local int quads = 16;  // groups of four input channels in the last step
  static inline thread_local std::uint8_t tiles[8][16][64];

  static int rows(int tile) { return tile == kLastWeights ? quads : 16; }
  static int bytes(int tile) { return tile == kLastPixels ? 4 * quads : 64; }

  static void configure(int last_quads) {
    quads = last_quads;
    std::memset(tiles, 0, sizeof(tiles));
  }
  template <int tile>
  static void load(const void* from, long stride) {
    for (int row = 0; row < rows(tile); ++row)
      std::memcpy(tiles[tile][row], static_cast<const std::uint8_t*>(from) + row * stride, static_cast<std::size_t>(bytes(tile)));
  }
  template <int tile>
  static void store(void* to, long stride) {
    for (int row = 0; row < rows(tile); ++row)
      std::memcpy(static_cast<std::uint8_t*>(to) + row * stride, tiles[tile][row], static_cast<std::size_t>(bytes(tile)));
  }
  // sums[pixel][channel] += four pixels' bytes * four weights, over the depth.
  template <int sums, int pixels, int weights>
  static void multiply() {
    for (int row = 0; row < 16; ++row)
      for (int channel = 0; channel < 16; ++channel) {
        std::int32_t sum;
        std::memcpy(&sum, &tiles[sums][row][channel * 4], 4);
        for (int k = 0; k < bytes(pixels); ++k)
          sum += tiles[pixels][row][k] * static_cast<std::int8_t>(tiles[weights][k / 4][channel * 4 + k % 4]);
        std::memcpy(&tiles[sums][row][channel * 4], &sum, 4);
      }
  }
  static void fence() {}
};

}  // namespace mobilenet::i8
