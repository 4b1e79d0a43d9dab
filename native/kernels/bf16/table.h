// All bfloat16 kernels over one tile unit and one vector type.
#pragma once

#include "elementwise.h"
#include "expand.h"

namespace mobilenet::bf16 {

template <class T, class V>
constexpr Kernels kernels() {
  return {.product = product<T, V>,
          .depthwise = depthwise<V>,
          .expand_depthwise = expand_depthwise<T, V>,
          .add = add<V>,
          .copy = copy<V>,
          .resize = resize<V>,
          .accumulate = accumulate<V>,
          .end = T::release};
}

}  // namespace mobilenet::bf16
