// Every kernel as plain loops: the definition of what the others compute, and what tests/kernels.cc compares them with.
//
// `Arithmetic` says how a * b + c rounds: once (Fused, as AVX2, AVX-512 and NEON do) or twice (Separate).
#pragma once

#include <cmath>

#include "kernels.h"

namespace mobilenet::reference {

struct Fused {
  static float multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
};

struct Separate {
  static float multiply_add(float a, float b, float c) { return a * b + c; }
};

inline float clamp(float x, Range range) {  // NaN passes
  const float raised = x < range.low ? range.low : x;
  return raised > range.high ? range.high : raised;
}

// Weights are packed block by block: [tap][input][channels of the block], 8 channels of a half block.
template <class Arithmetic>
void product(const ProductCall& call) {
  const float* weights = call.weights;
  for (int block = 0; block < call.blocks; ++block) {
    const int width = packed_width(1, call.half && block == call.blocks - 1, 1);
    for (int pixel = 0; pixel < call.pixels; ++pixel)
      for (int lane = 0; lane < kBlock; ++lane) {
        float* target = call.target + block * call.target_block + pixel * kBlock + lane;
        if (lane >= width) {
          *target = 0;
          continue;
        }
        float sum = call.bias[block * kBlock + lane];
        for (int tap = 0; tap < call.tap_count; ++tap)
          for (int k = 0; k < call.depth; ++k)
            sum = Arithmetic::multiply_add(
                call.taps[tap][pixel * call.pixel_step + k / kBlock * call.source_block + k % kBlock],
                weights[((call.first_tap + tap) * call.depth + k) * width + lane], sum);
        *target = clamp(sum, call.range);
        if (call.residual) *target += call.residual[block * call.residual_block + pixel * kBlock + lane];
      }
    weights += call.all_taps * call.depth * width;
  }
}

template <class Arithmetic>
void depthwise(const DepthwiseCall& call) {
  for (int y = 0; y < call.rows; ++y) {
    const long* offset = call.offsets + y * (call.kernel + 1);
    for (int pixel = 0; pixel < call.pixels; ++pixel)
      for (int lane = 0; lane < kBlock; ++lane) {
        float sum = call.bias[lane];
        for (int i = 0; i < call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j)
            sum = Arithmetic::multiply_add(
                call.row(offset + 1 + i)[(pixel * call.stride + j * call.dilation) * kBlock + lane],
                call.weights[(i * call.kernel + j) * kBlock + lane], sum);
        call.target[offset[0] + pixel * kBlock + lane] = clamp(sum, call.range);
      }
  }
}

template <class Arithmetic>
void stem(const StemCall& call) {
  for (int block = 0; block < call.blocks; ++block)
    for (int pixel = 0; pixel < call.pixels; ++pixel)
      for (int lane = 0; lane < kBlock; ++lane) {
        float sum = call.bias[block * kBlock + lane];
        const float* weight = call.weights + block * 3 * call.kernel * call.kernel * kBlock + lane;
        for (int i = 0; i < 3 * call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j, weight += kBlock) {
            const int column = pixel * call.stride - call.left + j * call.dilation;
            if (column >= 0 && column < call.width) sum = Arithmetic::multiply_add(call.rows[i][column], *weight, sum);
          }
        call.target[block * call.target_block + pixel * kBlock + lane] = clamp(sum, call.range);
      }
}

template <class Arithmetic>
void resize(const ResizeCall& call) {
  for (int pixel = 0; pixel < call.pixels; ++pixel)
    for (int lane = 0; lane < kBlock; ++lane) {
      const float right = call.right[pixel];
      const auto blend = [&](const float* row) {
        const float left_part = row[call.column[pixel] * kBlock + lane] * (1 - right);
        return Arithmetic::multiply_add(row[call.next[pixel] * kBlock + lane], right, left_part);
      };
      call.target[pixel * kBlock + lane] =
          Arithmetic::multiply_add(blend(call.below), call.down, blend(call.above) * (1 - call.down));
    }
}

inline void add(const float* a, const float* b, float* sum, long count) {
  for (long i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

inline void accumulate(const float* pixels, long count, float scale, float* sum) {
  for (int lane = 0; lane < kBlock; ++lane) {
    for (long pixel = 0; pixel < count; ++pixel) sum[lane] += pixels[pixel * kBlock + lane];
    sum[lane] *= scale;
  }
}

// As a table: one float in a register, one block in a product's tile.
template <class Arithmetic>
F32 f32_kernels() {
  return {.lanes = 1,
          .tile_blocks = 1,
          .product = product<Arithmetic>,
          .depthwise = depthwise<Arithmetic>,
          .stem = stem<Arithmetic>,
          .resize = resize<Arithmetic>,
          .add = add,
          .accumulate = accumulate};
}

inline std::uint8_t to_byte(std::int64_t sum) {  // a sum of weights times bytes
  sum = (sum + (1 << (u8::kWeightBits - 1))) >> u8::kWeightBits;
  return static_cast<std::uint8_t>(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

inline void blend_row(const u8::RowCall& call) {
  for (int i = 0; i < call.count; ++i)
    for (int color = 0; color < u8::kPixelBytes; ++color) {
      std::int64_t sum = 0;
      for (int tap = 0; tap < call.groups * u8::kGroup; ++tap) {
        const std::int16_t* group = call.weights + (static_cast<long>(i) * call.groups + tap / u8::kGroup) * 2 * u8::kGroup;
        const int weight = group[tap % u8::kGroup] + group[u8::kGroup + tap % u8::kGroup] * (1 << u8::kLowBits);
        sum += std::int64_t{call.pixels[(static_cast<long>(call.starts[i]) + tap) * u8::kPixelBytes + color]} * weight;
      }
      call.target[static_cast<long>(i) * u8::kPixelBytes + color] = to_byte(sum);
    }
}

inline void blend_rows(const u8::ColumnCall& call) {
  for (long i = 0; i < call.bytes; ++i) {
    std::int64_t sum = 0;
    for (int tap = 0; tap < call.taps; ++tap) sum += std::int64_t{call.rows[tap][i]} * call.weights[tap];
    call.target[i] = to_byte(sum);
  }
}

}  // namespace mobilenet::reference
