#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace mobilenet {
namespace {

// Transposes the weights of some outputs in 16 x 16 tiles, so that reads and writes both touch whole cache lines; values
// are scaled on the way. `column(c)` is where column c goes, a value for each output.
template <class Column>
void transpose(const Constants& constants, int first, int outputs, int columns, Column column) {
  float tile[kBlock][kBlock];
  for (int from = 0; from < columns; from += kBlock) {
    const int count = std::min(kBlock, columns - from);
    if (!constants.scale && outputs == kBlock && count == kBlock) {  // nearly all: loops of fixed length
      for (int j = 0; j < kBlock; ++j)
        std::memcpy(tile[j], constants.weight + static_cast<std::size_t>(first + j) * columns + from, sizeof(tile[j]));
      for (int c = 0; c < kBlock; ++c) {
        float* target = column(from + c);
        for (int j = 0; j < kBlock; ++j) target[j] = tile[j][c];
      }
      continue;
    }
    for (int j = 0; j < outputs; ++j) {
      const float* source = constants.weight + static_cast<std::size_t>(first + j) * columns + from;
      const double factor = constants.factor(first + j);
      for (int c = 0; c < count; ++c) tile[j][c] = static_cast<float>(source[c] * factor);
    }
    for (int c = 0; c < count; ++c) {
      float* target = column(from + c);
      for (int j = 0; j < outputs; ++j) target[j] = tile[j][c];
    }
  }
}

// [block][rest][16] from (channels, rest).
Memory by_block(const float* values, const double* scale, int channels, int rest) {
  Memory packed(static_cast<std::size_t>(blocks_of(channels)) * rest * kBlock * sizeof(float));
  for (int first = 0; first < channels; first += kBlock)
    transpose({.weight = values, .scale = scale, .bias = nullptr}, first, std::min(kBlock, channels - first), rest,
              [&](int r) { return packed.as<float>() + (static_cast<std::size_t>(first) / kBlock * rest + r) * kBlock; });
  return packed;
}

}  // namespace

BatchNorm::BatchNorm(const float* gamma, const float* beta, const float* mean, const float* variance, double epsilon,
                     int outputs)
    : scale(outputs), bias(outputs) {
  for (int c = 0; c < outputs; ++c) {
    scale[c] = gamma[c] / std::sqrt(variance[c] + epsilon);
    bias[c] = static_cast<float>(beta[c] - mean[c] * scale[c]);
  }
}

Bounds bounds(const float* values, std::size_t count) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  float least[kBlock], largest[kBlock], wrong[kBlock];  // that many values at once
  std::fill_n(least, kBlock, infinity);
  std::fill_n(largest, kBlock, -infinity);
  std::fill_n(wrong, kBlock, 0.0f);
  const auto take = [&](const float* from, int lanes) {
    for (int i = 0; i < lanes; ++i) {
      least[i] = from[i] < least[i] ? from[i] : least[i];
      largest[i] = from[i] > largest[i] ? from[i] : largest[i];
      wrong[i] += from[i] - from[i];  // NaN of NaN and of infinity, and stays so
    }
  };
  std::size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) take(values + i, kBlock);
  take(values + i, static_cast<int>(count - i));
  for (int lane = 0; lane < kBlock; ++lane)
    if (std::isnan(wrong[lane]))  // rare: search again for which of the two it was
      for (i = 0; i < count; ++i)
        if (std::isnan(values[i])) return {values[i], values[i]};
  return {*std::min_element(least, least + kBlock), *std::max_element(largest, largest + kBlock)};
}

bool finite(const float* values, std::size_t count) {
  // Two at a time: of what is not finite the exponent is all ones, so one more reaches the sign's place.
  constexpr std::uint64_t exponents = 0x7f8000007f800000, one = 0x0080000000800000, signs = 0x8000000080000000;
  std::uint64_t sums = 0, two;
  std::size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    std::memcpy(&two, values + i, sizeof(two));
    sums |= (two & exponents) + one;
  }
  return !(sums & signs) && (i == count || std::isfinite(values[i]));
}

ProductWeights::ProductWeights(const Constants& constants, int outputs_, int inputs_, int kernel_, int panel_blocks_,
                               const Kernels& kernels, Slab* slab)
    : inputs(inputs_),
      outputs(outputs_),
      kernel(kernel_),
      depth((inputs_ + 3) / 4 * 4),
      panel_blocks(panel_blocks_),
      lanes(kernels.f32.lanes),
      bias(by_block(constants.bias, nullptr, outputs_, 1)) {
  const int tile_blocks = kernels.f32.tile_blocks, taps = kernel * kernel, all = blocks_of(outputs);
  const bool half = panel_blocks <= 2 && outputs - (all - 1) * kBlock <= kBlock / 2;
  weights = Memory(static_cast<std::size_t>(all) * kBlock * taps * depth * sizeof(float), slab);
  float* const start = weights.as<float>();
  float* packed = start;
  for (int first = 0; first < all;) {
    // If the number of blocks is odd and the last one is a half, the first stands alone: halves do best beside a full block.
    const int max_blocks = half && first == 0 && panel_blocks == 2 && all % 2 ? 1 : panel_blocks;
    const int blocks = std::min(max_blocks, all - first);
    const bool ends_half = half && first + blocks == all;
    panels.push_back(
        {.first_block = first, .blocks = blocks, .half = ends_half, .offset = static_cast<std::size_t>(packed - start)});
    widest = std::max(widest, blocks);
    for (int part = 0; part < blocks; part += tile_blocks) {
      const int part_blocks = std::min(tile_blocks, blocks - part);
      const bool part_half = ends_half && part + part_blocks == blocks;
      const int width = packed_width(part_blocks, part_half, lanes);
      const int channel = (first + part) * kBlock, channels = std::min(width, outputs - channel);
      const bool twice = part_half && lanes == kBlock;  // for two pixels at once
      const auto row = [&](int tap, int k) { return packed + (static_cast<std::size_t>(tap) * depth + k) * width; };
      for (int first_output = 0; first_output < channels; first_output += kBlock)
        transpose(constants, channel + first_output, std::min(kBlock, channels - first_output), inputs * taps,
                  [&](int column) { return row(column % taps, column / taps) + first_output; });
      for (int tap = 0; tap < taps && twice; ++tap)
        for (int k = 0; k < inputs; ++k)
          std::copy_n(row(tap, k) + width - kBlock, kBlock / 2, row(tap, k) + width - kBlock / 2);
      packed += static_cast<std::size_t>(taps) * depth * width;
    }
    first += blocks;
  }
}

DepthwiseWeights::DepthwiseWeights(const Constants& constants, int channels_, int kernel_)
    : channels(channels_),
      kernel(kernel_),
      weights(by_block(constants.weight, constants.scale, channels_, kernel_ * kernel_)),
      bias(by_block(constants.bias, nullptr, channels_, 1)) {}

StemWeights::StemWeights(const Constants& constants, int outputs_, int kernel_)
    : outputs(outputs_),
      kernel(kernel_),
      weights(by_block(constants.weight, constants.scale, outputs_, 3 * kernel_ * kernel_)),
      bias(by_block(constants.bias, nullptr, outputs_, 1)) {}

}  // namespace mobilenet
