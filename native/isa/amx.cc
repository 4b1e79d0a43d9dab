#include "../kernels/i8/product_tiles.h"

#include "../kernels/bf16/table.h"
#include "../kernels/i8/table.h"
#include "../kernels/kernels.h"
#include "amx.h"
#include "amx_bf16.h"

namespace mobilenet {

void use_amx(Kernels& kernels) {
  kernels.name = AmxI8::name;
  kernels.i8 = i8::kernels<AmxI8>();
  kernels.i8.product = i8::product_tiles<AmxTiles, AmxI8>;
  kernels.i8.end = AmxTiles::release;
  kernels.bf16 = bf16::kernels<AmxBf16Tiles, AmxBf16>();
}

}  // namespace mobilenet
