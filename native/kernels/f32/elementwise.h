// Kernels that are no convolution: sums, means, bilinear resizing.
#pragma once

#include "../kernels.h"

namespace mobilenet {

template <class V>
void add(const float* a, const float* b, float* sum, long count) {
  for (long i = 0; i < count; i += V::lanes) V::store(sum + i, V::add(V::load(a + i), V::load(b + i)));
}

template <class V>
void accumulate(const float* pixels, long count, float scale, float* sum) {
  const auto factor = V::broadcast(scale), zero = V::broadcast(0);
  for (int lane = 0; lane < kBlock; lane += V::lanes) {
    auto total = V::load(sum + lane);
    for (long p = 0; p < count; ++p) total = V::add(total, V::load(pixels + p * kBlock + lane));
    V::store(sum + lane, V::multiply_add(total, factor, zero));
  }
}

template <class V>
void resize(const ResizeCall& call) {
  const auto down = V::broadcast(call.down), up = V::broadcast(1 - call.down), zero = V::broadcast(0);
  for (int p = 0; p < call.pixels; ++p) {
    const auto right = V::broadcast(call.right[p]), left = V::broadcast(1 - call.right[p]);
    const long a = static_cast<long>(call.column[p]) * kBlock, b = static_cast<long>(call.next[p]) * kBlock;
    for (int lane = 0; lane < kBlock; lane += V::lanes) {
      const auto blend = [&](const float* row) {
        return V::multiply_add(V::load(row + b + lane), right, V::multiply_add(V::load(row + a + lane), left, zero));
      };
      const auto above = V::multiply_add(blend(call.above), up, zero);
      V::store(call.target + static_cast<long>(p) * kBlock + lane, V::multiply_add(blend(call.below), down, above));
    }
  }
}

}  // namespace mobilenet
