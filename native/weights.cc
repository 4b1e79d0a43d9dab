#include "weights.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>

#include <sys/mman.h>

namespace mobilenet {
namespace {

constexpr std::size_t kLine = 64, kLargePage = std::size_t{1} << 21;
constexpr std::size_t kPiece = 8 * kLargePage;  // of which only what is written becomes memory

// Rows of some outputs, side by side: 16 columns of theirs at a time are scaled row by row and leave as columns, so that
// both ends are met a line of the cache at a time. `column(c)` is where column c goes, a value for each output.
template <class Column>
void transpose(const Constants& constants, int first, int outputs, int columns, Column column) {
  float tile[kBlock][kBlock];
  for (int from = 0; from < columns; from += kBlock) {
    const int count = std::min(kBlock, columns - from);
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
Floats by_block(const float* values, const double* scale, int channels, int rest) {
  Floats packed(static_cast<std::size_t>(blocks_of(channels)) * rest * kBlock);
  for (int first = 0; first < channels; first += kBlock)
    transpose({values, scale, nullptr}, first, std::min(kBlock, channels - first), rest,
              [&](int r) { return packed.data() + (static_cast<std::size_t>(first) / kBlock * rest + r) * kBlock; });
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
  float least[kBlock], largest[kBlock], wrong[kBlock];  // so many at once
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
    if (std::isnan(wrong[lane]))  // rare: look again for which of the two it was
      for (i = 0; i < count; ++i)
        if (std::isnan(values[i])) return {values[i], values[i]};
  return {*std::min_element(least, least + kBlock), *std::max_element(largest, largest + kBlock)};
}

std::shared_ptr<void> Slab::take(std::size_t bytes) {
  bytes = (bytes + kLine - 1) / kLine * kLine;
  if (bytes > size_ - used_) {
    const std::size_t size = std::max((bytes + kLargePage - 1) / kLargePage * kLargePage, kPiece), mapped = size + kLargePage;
    void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) throw std::bad_alloc();
    const std::shared_ptr<void> whole(start, [mapped](void* p) { munmap(p, mapped); });
    const auto first = (reinterpret_cast<std::uintptr_t>(start) + kLargePage - 1) / kLargePage * kLargePage;
#ifdef MADV_HUGEPAGE
    (void)madvise(reinterpret_cast<void*>(first), size, MADV_HUGEPAGE);  // where it cannot, small ones do
#endif
    piece_ = std::shared_ptr<void>(whole, reinterpret_cast<void*>(first));
    used_ = 0, size_ = size;
  }
  std::shared_ptr<void> taken(piece_, static_cast<char*>(piece_.get()) + used_);
  used_ += bytes;
  return taken;
}

Floats::Floats(std::size_t count, Slab* slab) : size_(count) {
  if (count > SIZE_MAX / sizeof(float) - kLine) throw std::bad_alloc();
  if (slab) {
    memory_ = slab->take(count * sizeof(float));
    data_ = static_cast<float*>(memory_.get());
    return;
  }
  memory_.reset(std::calloc(count * sizeof(float) + kLine, 1), std::free);  // large ones come zeroed from the system, untouched
  if (!memory_) throw std::bad_alloc();
  const auto start = reinterpret_cast<std::uintptr_t>(memory_.get());
  data_ = reinterpret_cast<float*>((start + kLine - 1) / kLine * kLine);
}

ProductWeights::ProductWeights(const Constants& constants, int outputs_, int inputs_, int kernel_, int panel_blocks,
                               const Kernels& kernels, Slab* slab)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), depth((inputs_ + 3) / 4 * 4), lanes(kernels.lanes),
      bias(by_block(constants.bias, nullptr, outputs_, 1)) {
  const int taps = kernel * kernel, all = blocks_of(outputs);
  const bool half = panel_blocks <= 2 && outputs - (all - 1) * kBlock <= kBlock / 2;
  weights = Floats(static_cast<std::size_t>(all) * kBlock * taps * depth, slab);
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
