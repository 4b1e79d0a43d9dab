#include "portable.h"

#include "../kernels/bf16/plain_tiles.h"
#include "../kernels/bf16/table.h"
#include "../kernels/f32/table.h"
#include "../kernels/i8/table.h"
#include "portable_bf16.h"
#include "portable_i8.h"
#include "../kernels/u8/table.h"
#include "portable_u8.h"

namespace mobilenet {

void use_portable(Kernels& kernels) {
  kernels.name = Portable::name;
  kernels.i8 = i8::kernels<PortableI8>();
  kernels.f32 = f32_kernels<Portable>();
  kernels.u8 = u8::kernels<PortableU8>();
  kernels.bf16 = bf16::kernels<bf16::PlainTiles, PortableBf16>();
}

}  // namespace mobilenet
