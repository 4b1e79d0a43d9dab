#include "avx2.h"

#include "../kernels/f32/table.h"
#include "../kernels/i8/table.h"
#include "avx2_i8.h"
#include "../kernels/u8/table.h"
#include "avx2_u8.h"

namespace mobilenet {

void use_avx2(Kernels& kernels) {
  kernels.name = Avx2::name;
  kernels.i8 = i8::kernels<Avx2I8>();
  kernels.f32 = f32_kernels<Avx2>();
  kernels.u8 = u8::kernels<Avx2U8>();
}

}  // namespace mobilenet
