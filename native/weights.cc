#include "weights.h"

#include <algorithm>
#include <cstdint>
#include <new>

namespace mobilenet {
namespace {

constexpr std::size_t kLine = 64;

// [block][rest][16] from (channels, rest).
Floats by_block(const float* values, const double* scale, int channels, int rest) {
  const Constants constants{values, scale, nullptr};
  Floats packed(static_cast<std::size_t>(blocks_of(channels)) * rest * kBlock);
  for (int c = 0; c < channels; ++c) {
    const double factor = constants.factor(c);
    for (int r = 0; r < rest; ++r)
      packed.data()[(static_cast<std::size_t>(c / kBlock) * rest + r) * kBlock + c % kBlock] =
          static_cast<float>(values[static_cast<std::size_t>(c) * rest + r] * factor);
  }
  return packed;
}

}  // namespace

Floats::Floats(std::size_t count) : size_(count) {
  if (count > SIZE_MAX / sizeof(float) - kLine) throw std::bad_alloc();
  memory_.reset(std::calloc(count * sizeof(float) + kLine, 1));  // large ones come zeroed from the system, untouched
  if (!memory_) throw std::bad_alloc();
  const auto start = reinterpret_cast<std::uintptr_t>(memory_.get());
  data_ = reinterpret_cast<float*>((start + kLine - 1) / kLine * kLine);
}

ProductWeights::ProductWeights(const Constants& constants, int outputs_, int inputs_, int kernel_, int panel_blocks,
                               const Kernels& kernels)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), depth((inputs_ + 3) / 4 * 4), lanes(kernels.lanes),
      bias(by_block(constants.bias, nullptr, outputs_, 1)) {
  const int taps = kernel * kernel, all = blocks_of(outputs);
  const bool half = panel_blocks <= 2 && outputs - (all - 1) * kBlock <= kBlock / 2;
  weights = Floats(static_cast<std::size_t>(all) * kBlock * taps * depth);
  float* packed = weights.data();
  for (int first = 0; first < all;) {
    // An odd block stands alone at the start where the last one is a half: halves do best beside a full block.
    const int most = half && first == 0 && panel_blocks == 2 && all % 2 ? 1 : panel_blocks;
    const int blocks = std::min(most, all - first);
    const bool ends_half = half && first + blocks == all;
    panels.push_back({first, blocks, ends_half, static_cast<std::size_t>(packed - weights.data())});
    widest = std::max(widest, blocks);
    for (int part = 0; part < blocks; part += kernels.tile_blocks) {
      const int part_blocks = std::min(kernels.tile_blocks, blocks - part);
      const bool part_half = ends_half && part + part_blocks == blocks;
      const int width = packed_width(part_blocks, part_half, lanes);
      const int channel = (first + part) * kBlock, channels = std::min(width, outputs - channel);
      const bool twice = part_half && lanes == kBlock;  // for two pixels at once
      const auto row = [&](int tap, int k) { return packed + (static_cast<std::size_t>(tap) * depth + k) * width; };
      for (int first_k = 0; first_k < inputs; first_k += kBlock)  // so many rows stay in the cache while they fill
        for (int j = 0; j < channels; ++j) {
          const float* source = constants.weight + (static_cast<std::size_t>(channel + j) * inputs + first_k) * taps;
          const double factor = constants.factor(channel + j);
          for (int k = first_k; k < std::min(first_k + kBlock, inputs); ++k)
            for (int tap = 0; tap < taps; ++tap) row(tap, k)[j] = static_cast<float>(*source++ * factor);
        }
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
