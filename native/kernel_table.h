// All kernels over one vector type. Included once per instruction set, by the file that is compiled with its flags.
#pragma once

#include "depthwise.h"
#include "elementwise.h"
#include "product.h"
#include "stem.h"

namespace mobilenet {

template <class V>
constexpr Kernels kernels_of() {
  return {V::name, V::lanes, V::tile_blocks, product<V>, depthwise<V>, stem<V>, resize<V>, add<V>, accumulate<V>};
}

}  // namespace mobilenet
