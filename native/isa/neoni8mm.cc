#include "neon_i8.h"

#include "../kernels/i8/table.h"
#include "../kernels/kernels.h"

namespace mobilenet {

void use_neoni8mm(Kernels& kernels) {
  kernels.name = NeonI8mmI8::name;
  kernels.i8 = i8::kernels<NeonI8mmI8>();
}

}  // namespace mobilenet
