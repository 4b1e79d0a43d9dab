#include "avx512_i8.h"

#include "../kernels/i8/table.h"
#include "../kernels/kernels.h"

namespace mobilenet {

void use_avx512vnni(Kernels& kernels) {
  kernels.name = Avx512VnniI8::name;
  kernels.i8 = i8::kernels<Avx512VnniI8>();
}

}  // namespace mobilenet
