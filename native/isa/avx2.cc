#include "avx2.h"

#include "../kernels/f32/table.h"

namespace mobilenet {

void use_avx2(Kernels& kernels) {
  kernels.name = Avx2::name;
  kernels.f32 = f32_kernels<Avx2>();
}

}  // namespace mobilenet
