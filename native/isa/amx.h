// AMX: a tile unit beside AVX-512 VNNI, which does what tiles do not.
#pragma once

#include "avx512_i8.h"

namespace mobilenet {

struct AmxI8 : Int512<AmxI8> {
  static constexpr const char* name = "amx";
};

// The tile unit, whatever its numbers. Whoever uses it must have asked the operating system for the tiles' registers (isa.cc),
// and must fence before vector code reads what tiles have stored.
struct AmxTileUnit {
  struct alignas(64) Configuration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};  // of a tile's row
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static inline thread_local int configured = 0;  // the shapes of the last step as one number of its own; 0: not at all

  // Written in assembly, as all operations here: gcc 12's intrinsics name 8 of the configuration's 64 bytes, and no memory
  // for loads.
  static void configure(const Configuration& c, int shapes) {
    asm volatile("ldtilecfg %0" ::"m"(c) : "memory");
    configured = shapes;
  }
  static void release() {
    if (configured) asm volatile("tilerelease" ::: "memory");
    configured = 0;
  }
  template <int tile>
  static void load(const void* from, long stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile));
  }
  template <int tile>
  static void store(void* to, long stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile));
  }
  static void fence() { asm volatile("" ::: "memory"); }
};

// The operations of kernels/i8/tiles.h as instructions.
struct AmxTiles : AmxTileUnit {
  static void configure(int quads) {  // groups of four, 1 to 16
    if (configured == quads) return;
    Configuration c;
    c.bytes[i8::kLastPixels] = static_cast<std::uint16_t>(4 * quads);
    c.rows[i8::kLastWeights] = static_cast<std::uint8_t>(quads);
    AmxTileUnit::configure(c, quads);
  }
  template <int sums, int pixels, int weights>
  static void multiply() {  // AT&T order: weights, pixels, sums
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sums), "i"(pixels), "i"(weights));
  }
};

}  // namespace mobilenet
