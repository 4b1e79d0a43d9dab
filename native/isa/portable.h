// Four floats at a time in the vector type that gcc and clang define: runs on any processor, with whatever vectors its
// baseline has.
#pragma once

#include <cstring>

namespace mobilenet {

struct Portable {
  static constexpr const char* name = "portable";
  static constexpr int lanes = 4;
  typedef float Register __attribute__((vector_size(lanes * sizeof(float))));

  static Register load(const float* p) {
    Register x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  static void store(float* p, Register x) { std::memcpy(p, &x, sizeof(x)); }
  static Register broadcast(float x) { return Register{x, x, x, x}; }
  static Register multiply_add(Register a, Register b, Register c) { return a * b + c; }
  static Register add(Register a, Register b) { return a + b; }
  static Register clamp(Register x, Register low, Register high) {
    const Register raised = x < low ? low : x;
    return raised > high ? high : raised;
  }

  static constexpr int tile_blocks = 1;
  static constexpr int tile_pixels(int, bool) { return 2; }
  static constexpr int depthwise_pixels = 2;
  static constexpr int stem_blocks = 1, stem_pixels = 2;
};

}  // namespace mobilenet
