// A tile unit in plain loops: the kernels run on it where there is none, and are tested with it.
#pragma once

#include <cmath>
#include <cstring>

#include "rounding.h"
#include "tiles.h"

#ifdef MOBILENET_NO_THREADS  // a system without threads need not know thread-local memory
#define MOBILENET_PER_THREAD
#else
#define MOBILENET_PER_THREAD thread_local
#endif

namespace mobilenet::bf16 {

struct PlainTiles {
  static inline MOBILENET_PER_THREAD int pixels = 0, first_weights = 0;
  static inline MOBILENET_PER_THREAD std::uint8_t tiles[8][16][64];

  static void configure(int count, int first) {
    if (pixels == count && first_weights == first) return;
    pixels = count, first_weights = first;
    std::memset(tiles, 0, sizeof(tiles));
  }
  static void release() { pixels = 0; }
  template <int tile>
  static void load(const void* from, long stride) {
    for (int row = 0; row < (tile < first_weights ? pixels : 16); ++row)
      std::memcpy(tiles[tile][row], static_cast<const std::byte*>(from) + row * stride, 64);
  }
  template <int tile>
  static void store(void* to, long stride) {
    for (int row = 0; row < pixels; ++row) std::memcpy(static_cast<std::byte*>(to) + row * stride, tiles[tile][row], 64);
  }
  // As the processor does it: the even and the odd inputs are two chains of fused multiply-adds from 0, which are added to each
  // other and then to the sum. Results below 2^-126 become zero.
  template <int sums, int source, int weight>
  static void multiply() {
    for (int row = 0; row < pixels; ++row)
      for (int output = 0; output < 16; ++output) {
        float chain[2] = {0, 0};
        for (int k = 0; k < 16; ++k)
          for (int odd = 0; odd < 2; ++odd)
            chain[odd] = flushed(std::fma(value(tiles[source][row], 2 * k + odd), value(tiles[weight][k], 2 * output + odd), chain[odd]));
        float sum;
        std::memcpy(&sum, &tiles[sums][row][output * 4], 4);
        sum = flushed(flushed(sum) + flushed(chain[0] + chain[1]));
        std::memcpy(&tiles[sums][row][output * 4], &sum, 4);
      }
  }
  static void fence() {}

 private:
  static float value(const std::uint8_t* row, int index) {
    Value bits;
    std::memcpy(&bits, row + 2 * index, 2);
    return flushed(widened(bits));
  }
  static float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
};

}  // namespace mobilenet::bf16

#undef MOBILENET_PER_THREAD
