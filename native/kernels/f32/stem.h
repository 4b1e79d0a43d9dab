// The first convolution: three planes of pixels in, blocks of channels out.
//
// The usual stem (3 x 3, stride 2) walks along the row with a tile of pixels in registers; each value of the image is
// broadcast once and used by every window it belongs to. Other shapes take the plain loop.
#pragma once

#include <cstring>

#include "../kernels.h"
#include "../tiles.h"

namespace mobilenet {

constexpr int kStemRows = 9, kStemWeights = 27;  // rows and weights of a 3 x 3 window on three planes

// `Columns` values of a row from `column` on, zeros where it has none: for the first and the last tile of a row. Over the
// vector type too, though it uses none: code of one instruction set must not be linked into another.
template <class V, int Columns>
const float* bordered(const float* row, int column, int width, float (&padded)[3 * Columns]) {
  for (float& value : padded) value = 0;
  if (width >= Columns) {  // a copy of fixed length, moved inside the row
    const int from = column < 0 ? 0 : column + Columns > width ? width - Columns : column;
    std::memcpy(padded + Columns + from - column, row + from, Columns * sizeof(float));
  } else {
    for (int c = 0; c < width; ++c)
      if (c >= column && c < column + Columns) padded[Columns + c - column] = row[c];
  }
  return padded + Columns;
}

template <class V, int Pixels, int Blocks>
void stem_tile(const StemCall& call, int block, int pixel) {
  using Register = typename V::Register;
  constexpr int per_block = kBlock / V::lanes, registers = Blocks * per_block, columns = 2 * Pixels + 1;
  const int column = 2 * pixel - call.left;
  const bool inside = column >= 0 && column + columns <= call.width;
  const float* rows[kStemRows];
  float padded[kStemRows][3 * columns];
  for (int i = 0; i < kStemRows; ++i)
    rows[i] = inside ? call.rows[i] + column : bordered<V, columns>(call.rows[i], column, call.width, padded[i]);
  Register sum[Pixels][registers];
#pragma GCC unroll 8
  for (int r = 0; r < registers; ++r)
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) sum[p][r] = V::load(call.bias + block * kBlock + r * V::lanes);
  const float* weights = call.weights + static_cast<long>(block) * kStemWeights * kBlock;
#pragma GCC unroll 1
  for (int i = 0; i < kStemRows; ++i) {
    const float* values = rows[i];
    Register weight[3][registers];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j)
#pragma GCC unroll 8
      for (int r = 0; r < registers; ++r)
        weight[j][r] = V::load(weights + (r / per_block * kStemWeights + 3 * i + j) * kBlock + r % per_block * V::lanes);
#pragma GCC unroll 32
    for (int c = 0; c < columns; ++c) {
      const Register value = V::broadcast(values[c]);
#pragma GCC unroll 8
      for (int r = 0; r < registers; ++r) {
        if (c % 2) {
          sum[c / 2][r] = V::multiply_add(value, weight[1][r], sum[c / 2][r]);
        } else {
          if (c > 0) sum[c / 2 - 1][r] = V::multiply_add(value, weight[2][r], sum[c / 2 - 1][r]);
          if (c / 2 < Pixels) sum[c / 2][r] = V::multiply_add(value, weight[0][r], sum[c / 2][r]);
        }
      }
    }
  }
  const Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
#pragma GCC unroll 8
  for (int r = 0; r < registers; ++r) {
    float* target = call.target + (block + r / per_block) * call.target_block + pixel * kBlock + r % per_block * V::lanes;
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) V::store(target + p * kBlock, V::clamp(sum[p][r], low, high));
  }
}

template <class V, int Blocks>
void stem_3x3(const StemCall& call, int block) {
  each_tile<V::stem_pixels>(call.pixels, [&](auto size, int pixel) {
    stem_tile<V, decltype(size)::value, Blocks>(call, block, pixel);
  });
}

template <class V>
void stem_any(const StemCall& call) {
  using Register = typename V::Register;
  const Register low = V::broadcast(call.range.low), high = V::broadcast(call.range.high);
  for (int b = 0; b < call.blocks; ++b)
    for (int lane = 0; lane < kBlock; lane += V::lanes)
      for (int p = 0; p < call.pixels; ++p) {
        Register sum = V::load(call.bias + b * kBlock + lane);
        const float* weight = call.weights + static_cast<long>(b) * 3 * call.kernel * call.kernel * kBlock + lane;
        for (int i = 0; i < 3 * call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j, weight += kBlock) {
            const int column = p * call.stride - call.left + j * call.dilation;
            if (column >= 0 && column < call.width)
              sum = V::multiply_add(V::broadcast(call.rows[i][column]), V::load(weight), sum);
          }
        V::store(call.target + b * call.target_block + static_cast<long>(p) * kBlock + lane, V::clamp(sum, low, high));
      }
}

template <class V>
void stem(const StemCall& call) {
  if (call.kernel != 3 || call.stride != 2 || call.dilation != 1) return stem_any<V>(call);
  int block = 0;
  if constexpr (V::stem_blocks == 2)
    for (; block + 2 <= call.blocks; block += 2) stem_3x3<V, 2>(call, block);
  for (; block < call.blocks; ++block) stem_3x3<V, 1>(call, block);
}

}  // namespace mobilenet
