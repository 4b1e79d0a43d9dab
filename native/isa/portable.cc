#include "portable.h"

#include "../kernels/f32/table.h"

namespace mobilenet {

void use_portable(Kernels& kernels) {
  kernels.name = Portable::name;
  kernels.f32 = f32_kernels<Portable>();
}

}  // namespace mobilenet
