#include "neon.h"

#include "../kernels/f32/table.h"
#include "../kernels/i8/table.h"
#include "neon_i8.h"
#include "../kernels/u8/table.h"
#include "neon_u8.h"

namespace mobilenet {

void use_neon(Kernels& kernels) {
  kernels.name = Neon::name;
  kernels.i8 = i8::kernels<NeonI8>();
  kernels.f32 = f32_kernels<Neon>();
  kernels.u8 = u8::kernels<NeonU8>();
}

}  // namespace mobilenet
