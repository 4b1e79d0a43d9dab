// A tile unit's operations in plain loops: what product_tiles.h needs of a processor, and how it is tested without one.
//
// There are eight tiles of at most 16 rows of 64 bytes. Four of them hold sums, two the pixels and two the weights of one step
// over the depth: 64 input channels, or fewer in the last step, whose tiles are narrower.
#pragma once

#include <cstdint>
#include <cstring>

namespace mobilenet::i8 {

enum Tile : int { kSums0, kSums1, kSums2, kSums3, kPixelTile, kLastPixels, kWeightTile, kLastWeights };

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
