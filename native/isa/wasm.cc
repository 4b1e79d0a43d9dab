#include "wasm.h"

#include "../kernels/f32/table.h"
#include "../kernels/i8/table.h"
#include "../kernels/u8/table.h"
#include "wasm_i8.h"
#include "wasm_u8.h"

namespace mobilenet {

// One file for both instruction sets: a module that holds any relaxed instruction is refused where these are missing, so each of
// the two has a module of its own. Integers and images are the same in both.
#ifdef __wasm_relaxed_simd__
using Floats = WasmRelaxed;
void use_wasmrelaxed(Kernels& kernels) {
#else
using Floats = Wasm;
void use_wasm(Kernels& kernels) {
#endif
  kernels.name = Floats::name;
  kernels.f32 = f32_kernels<Floats>();
  kernels.i8 = i8::kernels<WasmI8>();
  kernels.u8 = u8::kernels<WasmU8>();
}

}  // namespace mobilenet
