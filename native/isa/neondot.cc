#include "neon_i8.h"

#include "../kernels/i8/table.h"
#include "../kernels/kernels.h"

namespace mobilenet {

void use_neondot(Kernels& kernels) {
  kernels.name = NeonDotI8::name;
  kernels.i8 = i8::kernels<NeonDotI8>();
}

}  // namespace mobilenet
