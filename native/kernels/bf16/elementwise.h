// Kernels that are no convolution: sums, copies, means, bilinear resizing. All compute in float32.
#pragma once

#include "product.h"

namespace mobilenet::bf16 {

template <class V>
void add(const AddCall& call) {
  for (int p = 0; p < call.pixels; ++p)
    for (int lane = 0; lane < kBlock; lane += V::lanes)
      store<V>(call.target, p, lane, V::add(load<V>(call.a, p, lane), load<V>(call.b, p, lane)));
}

template <class V>
void copy(Sixteen source, Sixteen target, int pixels) {
  for (int p = 0; p < pixels; ++p)
    for (int lane = 0; lane < kBlock; lane += V::lanes) store<V>(target, p, lane, load<V>(source, p, lane));
}

template <class V>
void accumulate(Sixteen pixels, long count, float* sum) {
  for (int lane = 0; lane < kBlock; lane += V::lanes) {
    auto total = V::load(sum + lane);
    for (long p = 0; p < count; ++p) total = V::add(total, load<V>(pixels, p, lane));
    V::store(sum + lane, total);
  }
}

template <class V>
void resize(const ResizeCall& call) {
  const auto down = V::broadcast(call.down), up = V::broadcast(1 - call.down), zero = V::broadcast(0);
  for (int p = 0; p < call.pixels; ++p) {
    const auto right = V::broadcast(call.right[p]), left = V::broadcast(1 - call.right[p]);
    for (int lane = 0; lane < kBlock; lane += V::lanes) {
      const auto blend = [&](Sixteen row) {
        return V::multiply_add(load<V>(row, call.next[p], lane), right,
                               V::multiply_add(load<V>(row, call.column[p], lane), left, zero));
      };
      const auto above = V::multiply_add(blend(call.above), up, zero);
      store<V>(call.target, p, lane, V::multiply_add(blend(call.below), down, above));
    }
  }
}

}  // namespace mobilenet::bf16
