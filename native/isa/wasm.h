// WebAssembly's SIMD128: registers of 4 floats without a fused multiply-add, so its bits are the portable ones. Relaxed SIMD has one,
// which is fused where the processor can: there its bits are those of AVX2 and AVX-512.
#pragma once

#include <wasm_simd128.h>

namespace mobilenet {

struct Wasm {
  static constexpr const char* name = "wasm";
  static constexpr int lanes = 4;
  using Register = v128_t;

  static Register load(const float* p) { return wasm_v128_load(p); }
  static void store(float* p, Register x) { wasm_v128_store(p, x); }
  static Register broadcast(float x) { return wasm_f32x4_splat(x); }
  static Register multiply_add(Register a, Register b, Register c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
  static Register add(Register a, Register b) { return wasm_f32x4_add(a, b); }
  static Register clamp(Register x, Register low, Register high) { return wasm_f32x4_pmin(wasm_f32x4_pmax(x, low), high); }

  // 2 x 16: 8 sums, four weights, one broadcast and a product. x86 has 16 registers, of which the engines keep some.
  static constexpr int tile_blocks = 1;
  static constexpr int tile_pixels(int, bool) { return 2; }
  static constexpr int depthwise_pixels = 2;
  static constexpr int stem_blocks = 1, stem_pixels = 2;
};

#ifdef __wasm_relaxed_simd__
struct WasmRelaxed : Wasm {
  static constexpr const char* name = "wasmrelaxed";
  static Register multiply_add(Register a, Register b, Register c) { return wasm_f32x4_relaxed_madd(a, b, c); }

  // 4 x 16: the weights are read from memory once for four pixels; AArch64 has 32 registers for them.
  static constexpr int tile_pixels(int, bool) { return 4; }
};
#endif

}  // namespace mobilenet
