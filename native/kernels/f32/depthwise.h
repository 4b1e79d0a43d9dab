// The depthwise convolution of some rows of one channel block.
//
// 3 x 3 keeps its nine weights in registers and computes several neighboring pixels at once; at dilation 1 each loaded
// column serves all the windows it belongs to. Other kernels take the plain loop.
#pragma once

#include "../kernels.h"

namespace mobilenet {

// `Pixels` outputs of a 3 x 3 window. Dilation 0 stands for "known only at run time".
template <class V, int Stride, int Dilation, int Pixels>
inline void depthwise_pixels(const float* const (&row)[3], const typename V::Register (&weight)[9],
                             typename V::Register bias, Range range, int dilation, float* target) {
  using Register = typename V::Register;
  Register sum[Pixels];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) sum[p] = bias;
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    if constexpr (Dilation == 1) {
      constexpr int columns = (Pixels - 1) * Stride + 3;
      Register column[columns];
#pragma GCC unroll 32
      for (int c = 0; c < columns; ++c) column[c] = V::load(row[i] + c * kBlock);
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j)
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p)
          sum[p] = V::multiply_add(column[p * Stride + j], weight[i * 3 + j], sum[p]);
    } else {
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        const float* shifted = row[i] + j * dilation * kBlock;
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p)
          sum[p] = V::multiply_add(V::load(shifted + p * Stride * kBlock), weight[i * 3 + j], sum[p]);
      }
    }
  }
  const Register low = V::broadcast(range.low), high = V::broadcast(range.high);
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) V::store(target + p * kBlock, V::clamp(sum[p], low, high));
}

template <class V, int Stride, int Dilation>
void depthwise_3x3(const DepthwiseCall& call) {
  constexpr int many = Stride == 1 && Dilation == 1 ? V::depthwise_pixels : (V::depthwise_pixels + 1) / 2;
  constexpr int some = (many + 1) / 2;
  for (int lane = 0; lane < kBlock; lane += V::lanes) {
    typename V::Register weight[9];
#pragma GCC unroll 9
    for (int i = 0; i < 9; ++i) weight[i] = V::load(call.weights + i * kBlock + lane);
    const typename V::Register bias = V::load(call.bias + lane);
    for (const long *offset = call.offsets, *end = offset + 4 * call.rows; offset != end; offset += 4) {
      const float* row[3] = {call.row(offset + 1) + lane, call.row(offset + 2) + lane, call.row(offset + 3) + lane};
      float* target = call.target + offset[0] + lane;
      int left = call.pixels;
      const auto advance = [&](int pixels) {
        for (const float*& r : row) r += pixels * Stride * kBlock;
        target += pixels * kBlock;
        left -= pixels;
      };
      while (left >= many) {
        depthwise_pixels<V, Stride, Dilation, many>(row, weight, bias, call.range, call.dilation, target);
        advance(many);
      }
      if (some < many && left >= some) {
        depthwise_pixels<V, Stride, Dilation, some>(row, weight, bias, call.range, call.dilation, target);
        advance(some);
      }
      while (left > 0) {
        depthwise_pixels<V, Stride, Dilation, 1>(row, weight, bias, call.range, call.dilation, target);
        advance(1);
      }
    }
  }
}

template <class V>
void depthwise_any(const DepthwiseCall& call) {
  using Register = typename V::Register;
  const Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
  for (int y = 0; y < call.rows; ++y) {
    const long* offset = call.offsets + y * (call.kernel + 1);
    for (int lane = 0; lane < kBlock; lane += V::lanes)
      for (int p = 0; p < call.pixels; ++p) {
        Register sum = V::load(call.bias + lane);
        for (int i = 0; i < call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j) {
            const long column = static_cast<long>(p) * call.stride + j * call.dilation;
            sum = V::multiply_add(V::load(call.row(offset + 1 + i) + column * kBlock + lane),
                                  V::load(call.weights + (i * call.kernel + j) * kBlock + lane), sum);
          }
        V::store(call.target + offset[0] + static_cast<long>(p) * kBlock + lane, V::clamp(sum, low, high));
      }
  }
}

template <class V>
void depthwise(const DepthwiseCall& call) {
  if (call.kernel != 3 || call.stride > 2) return depthwise_any<V>(call);
  if (call.dilation == 1) return call.stride == 1 ? depthwise_3x3<V, 1, 1>(call) : depthwise_3x3<V, 2, 1>(call);
  return call.stride == 1 ? depthwise_3x3<V, 1, 0>(call) : depthwise_3x3<V, 2, 0>(call);
}

}  // namespace mobilenet
