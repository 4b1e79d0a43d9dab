// All float32 kernels over one vector type. Each instruction set's file includes this and is compiled with its own flags.
#pragma once

#include "../kernels.h"
#include "depthwise.h"
#include "elementwise.h"
#include "product.h"
#include "stem.h"

namespace mobilenet {

template <class V>
constexpr F32 f32_kernels() {
  return {.lanes = V::lanes,
          .tile_blocks = V::tile_blocks,
          .product = product<V>,
          .depthwise = depthwise<V>,
          .stem = stem<V>,
          .resize = resize<V>,
          .add = add<V>,
          .accumulate = accumulate<V>};
}

}  // namespace mobilenet
