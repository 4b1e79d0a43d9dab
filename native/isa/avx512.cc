#include "avx512.h"

#include "../kernels/f32/table.h"

namespace mobilenet {

void use_avx512(Kernels& kernels) {
  kernels.name = Avx512::name;
  kernels.f32 = f32_kernels<Avx512>();
}

}  // namespace mobilenet
