#include "avx2_i8.h"

#include "../kernels/i8/table.h"
#include "../kernels/kernels.h"

namespace mobilenet {

void use_avxvnni(Kernels& kernels) {
  kernels.name = AvxVnniI8::name;
  kernels.i8 = i8::kernels<AvxVnniI8>();
}

}  // namespace mobilenet
