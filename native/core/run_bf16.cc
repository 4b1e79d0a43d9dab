#include "run_bf16.h"

#include <algorithm>

#include "../kernels/bf16/rounding.h"
#include "image.h"

namespace mobilenet::bf16 {
namespace {

constexpr int kChunk = 64;  // pixels of the stem that are computed before they are rounded
constexpr Range kEverything = range_of(Activation::linear);

int groups_of(int channels) { return blocks_of(channels); }

// One channel of a row, pixel by pixel.
struct Channel {
  std::byte* first;
  bool real;

  Channel(Sixteen group, int lane) : first(group.first + lane * (group.real ? 4 : 2)), real(group.real) {}

  float get(long x) const {
    const std::byte* at = first + x * kPixel;
    return real ? *reinterpret_cast<const float*>(at) : widened(*reinterpret_cast<const Value*>(at));
  }
  void set(long x, float value) const {
    std::byte* at = first + x * kPixel;
    if (real)
      *reinterpret_cast<float*>(at) = value;
    else
      *reinterpret_cast<Value*>(at) = rounded(value);
  }
};

}  // namespace

// 16 channels of row y; null past the last block of float32.
Sixteen RunBf16::sixteen(const Buffer& b, int group, int y) const {
  const bool real = b.number == Number::f32;
  const int block = real ? group : group / 2;
  if (block >= b.blocks()) return {.first = nullptr, .real = real};
  std::byte* start = arena + b.offset + block * b.block_bytes() + b.row_bytes(y, 0);
  return {.first = real ? start : start + group % 2 * (kPixel / 2), .real = real};
}

// Zeros where a block of 32 channels has room for 16 more than there are.
void RunBf16::clear_rest(const Buffer& target, int groups, Span rows) const {
  if (target.number == Number::f32 || groups % 2 == 0) return;
  for (int y = rows.from; y < rows.to; ++y) {
    std::byte* pixel = sixteen(target, groups, y).first;
    for (int x = 0; x < target.width; ++x, pixel += kPixel) std::memset(pixel, 0, kPixel / 2);
  }
}

void RunBf16::operator()(const StemStep& s) const {
  const Buffer& target = at(s.target);
  const int k = s.window.kernel, taps = kPlanes * k * k, groups = groups_of(s.weights->outputs);
  alignas(64) float sums[kChunk * kBlock];
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    const float* rows[kPlanes * kMaxKernel];
    for (int plane = 0; plane < kPlanes; ++plane)
      for (int i = 0; i < k; ++i) {
        const long row = s.window.source_row(y, i);
        rows[plane * k + i] = row < 0 || row >= program.height
                                  ? reinterpret_cast<const float*>(arena)
                                  : image + (static_cast<long>(plane) * program.height + row) * program.width;
      }
    StemCall call{.rows = rows,
                  .width = program.width,
                  .left = s.window.left,
                  .weights = s.weights->weights.as<float>(),
                  .bias = s.weights->bias.as<float>(),
                  .blocks = groups,
                  .target = reinterpret_cast<float*>(sixteen(target, 0, y).first),
                  .target_block = static_cast<long>(target.block_bytes() / sizeof(float)),
                  .pixels = target.width,
                  .kernel = k,
                  .stride = s.window.stride,
                  .dilation = s.window.dilation,
                  .range = range_of(s.activation)};
    if (target.number == Number::f32) {
      program.kernels.f32.stem(call);
      continue;
    }
    call.blocks = 1, call.target = sums, call.target_block = kChunk * kBlock;
    for (int group = 0; group < groups; ++group, call.weights += taps * kBlock, call.bias += kBlock)
      for (int x = 0; x < target.width; x += kChunk) {
        call.left = s.window.left - x * s.window.stride;
        call.pixels = std::min(kChunk, target.width - x);
        program.kernels.f32.stem(call);
        Sixteen to = sixteen(target, group, y);
        to.first += x * kPixel;
        kernels.copy({.first = reinterpret_cast<std::byte*>(sums), .real = true}, to, call.pixels);
      }
  }
  clear_rest(target, groups, s.rows);
}

// One panel of a 1x1 convolution; it goes to `place` in the target: in a scratch that panels share, each of them is the first.
void RunBf16::product(const ProductWeights& w, int panel, const Buffer& source, const Buffer& target, int place,
                      const Buffer* residual, Span rows, Range range) const {
  for (int y = rows.from; y < rows.to;) {
    int count = std::min({rows.to - y, consecutive(source, y), consecutive(target, y)});
    if (residual) count = std::min(count, consecutive(*residual, y));
    const Tap tap{.first = sixteen(source, 0, y).first, .block = static_cast<long>(source.block_bytes())};
    ProductCall call{.taps = &tap,
                     .tap_count = 1,
                     .stride = 1,
                     .depth = w.depth(),
                     .weights = w.panel(panel),
                     .bias = w.bias.as<float>() + panel * kWide,
                     .halves = w.halves(panel),
                     .target = {sixteen(target, 2 * place, y), sixteen(target, 2 * place + 1, y)},
                     .residual = {},
                     .pixels = count * target.width,
                     .range = range};
    if (residual) call.residual[0] = sixteen(*residual, 2 * panel, y), call.residual[1] = sixteen(*residual, 2 * panel + 1, y);
    kernels.product(call);
    y += count;
  }
}

// One panel of a full convolution, row by row; kernel rows outside the image read zeros.
void RunBf16::convolution(const ProductStep& s, int panel) const {
  const ProductWeights& w = *s.weights;
  const Buffer &source = at(s.source), &target = at(s.target);
  const Window& window = s.window;
  Tap taps[kMaxKernel * kMaxKernel];
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    for (int i = 0; i < window.kernel; ++i) {
      const int from = window.source_row(y, i);
      const bool outside = from < 0 || from >= source.height;
      for (int j = 0; j < window.kernel; ++j) {
        const long column = static_cast<long>(j) * window.dilation - window.left;
        taps[i * window.kernel + j] = outside ? Tap{.first = arena, .block = 0}
                                              : Tap{.first = sixteen(source, 0, from).first + column * kPixel,
                                                    .block = static_cast<long>(source.block_bytes())};
      }
    }
    ProductCall call{.taps = taps,
                     .tap_count = window.kernel * window.kernel,
                     .stride = window.stride,
                     .depth = w.depth(),
                     .weights = w.panel(panel),
                     .bias = w.bias.as<float>() + panel * kWide,
                     .halves = w.halves(panel),
                     .target = {sixteen(target, 2 * panel, y), sixteen(target, 2 * panel + 1, y)},
                     .residual = {},
                     .pixels = target.width,
                     .range = range_of(s.activation)};
    if (s.residual >= 0)
      for (int half = 0; half < 2; ++half) call.residual[half] = sixteen(at(s.residual), 2 * panel + half, y);
    kernels.product(call);
  }
}

void RunBf16::operator()(const ProductStep& s) const {
  const bool plain = s.window.is_product();
  const Buffer* residual = s.residual >= 0 ? &at(s.residual) : nullptr;
  for (int panel = s.panels.from; panel < s.panels.to; ++panel)
    plain ? product(*s.weights, panel, at(s.source), at(s.target), panel, residual, s.rows, range_of(s.activation))
          : convolution(s, panel);
}

void RunBf16::operator()(const DepthwiseStep& s) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  const int groups = groups_of(s.weights->channels), k = s.window.kernel;
  for (int group = 2 * s.blocks.from; group < std::min(2 * s.blocks.to, groups); ++group) {
    Sixteen from = sixteen(source, group, 0), to = sixteen(target, group, 0);
    from.first -= source.row_bytes(0, 0), to.first -= target.row_bytes(0, 0);
    kernels.depthwise({.offsets = s.table.data(),
                       .rows = s.rows.to - s.rows.from,
                       .source = from,
                       .read = kEverything,
                       .zeros = arena,
                       .weights = s.weights->weights.as<float>() + static_cast<long>(group) * k * k * kBlock,
                       .bias = s.weights->bias.as<float>() + group * kBlock,
                       .target = to,
                       .pixels = target.width,
                       .kernel = k,
                       .stride = s.window.stride,
                       .dilation = s.window.dilation,
                       .range = range_of(s.activation)});
  }
  if (2 * s.blocks.to > groups) clear_rest(target, groups, s.rows);
}

void RunBf16::operator()(const ExpandDepthwiseStep& s) const {
  const Buffer &source = at(s.source), &ring = at(s.ring), &target = at(s.target);
  const int groups = groups_of(s.expand->outputs);
  const auto start = [&](const Buffer& b) { return arena + b.offset; };
  const auto rows = [&](const Buffer& b) {
    return Rows{.first = start(b) + b.left * kPixel, .pitch = static_cast<long>(b.pitch_bytes()), .slots = b.slots};
  };
  kernels.expand_depthwise({.source = rows(source),
                            .source_block = static_cast<long>(source.block_bytes()),
                            .depth = s.expand->depth(),
                            .weights = s.expand->panel(0),
                            .bias = s.expand->bias.as<float>(),
                            .from = s.expanded.from,
                            .to = s.expanded.to,
                            .width = source.width,
                            .ring = rows(ring),
                            .ring_block = static_cast<long>(ring.block_bytes()),
                            .places = ring.blocks(),
                            .depthwise = {.offsets = s.table.data(),
                                          .rows = s.rows.to - s.rows.from,
                                          .source = {.first = start(ring), .real = true},
                                          .read = range_of(s.expand_activation),
                                          .zeros = arena,
                                          .weights = s.depthwise->weights.as<float>(),
                                          .bias = s.depthwise->bias.as<float>(),
                                          .target = {.first = start(target), .real = target.number == Number::f32},
                                          .pixels = target.width,
                                          .kernel = s.window.kernel,
                                          .stride = s.window.stride,
                                          .dilation = s.window.dilation,
                                          .range = range_of(s.activation)},
                            .target_block = static_cast<long>(target.block_bytes()),
                            .first = 2 * s.panels.from,
                            .last = std::min(2 * s.panels.to, groups)});
  if (2 * s.panels.to > groups) clear_rest(target, groups, s.rows);
}

// Of 16 channels of `target`, which have `place` in the source.
void RunBf16::mean(const Buffer& source, int place, const Buffer& target, int group) const {
  alignas(64) float sum[kBlock] = {};
  if (source.padded() || source.slots < source.height)
    for (int y = 0; y < source.height; ++y) kernels.accumulate(sixteen(source, place, y), source.width, sum);
  else
    kernels.accumulate(sixteen(source, place, 0), static_cast<long>(source.height) * source.width, sum);
  const float scale = 1.0f / (static_cast<float>(source.height) * static_cast<float>(source.width));
  for (float& value : sum) value *= scale;
  kernels.copy({.first = reinterpret_cast<std::byte*>(sum), .real = true}, sixteen(target, group, 0), 1);
}

void RunBf16::operator()(const PooledProductStep& s) const {
  const Buffer &source = at(s.source), &scratch = at(s.scratch), &target = at(s.target);
  const int groups = groups_of(s.weights->outputs);
  const bool shared = scratch.channels != s.weights->outputs;
  for (int panel = s.panels.from; panel < s.panels.to; ++panel) {
    const int place = shared ? 0 : panel;
    product(*s.weights, panel, source, scratch, place, nullptr, {0, source.height}, range_of(s.activation));
    for (int half = 0; half < 2 && 2 * panel + half < groups; ++half) mean(scratch, 2 * place + half, target, 2 * panel + half);
  }
  if (2 * s.panels.to > groups) clear_rest(target, groups, {0, 1});
}

void RunBf16::operator()(const GlobalPoolStep& s) const {
  const Buffer& target = at(s.target);
  const int groups = groups_of(target.channels);
  for (int group = 2 * s.blocks.from; group < std::min(2 * s.blocks.to, groups); ++group) mean(at(s.source), group, target, group);
  if (2 * s.blocks.to > groups) clear_rest(target, groups, {0, 1});
}

void RunBf16::operator()(const AddStep& s) const {
  const Buffer &a = at(s.a), &b = at(s.b), &target = at(s.target);
  const int groups = groups_of(target.channels);
  for (int group = 2 * s.blocks.from; group < std::min(2 * s.blocks.to, groups); ++group)
    for (int y = s.rows.from; y < s.rows.to; ++y)
      kernels.add({.a = sixteen(a, group, y), .b = sixteen(b, group, y), .target = sixteen(target, group, y), .pixels = target.width});
  if (2 * s.blocks.to > groups) clear_rest(target, groups, s.rows);
}

void RunBf16::operator()(const ResizeStep& s) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  const ResizeTable &rows = *s.table_rows, &columns = *s.table_columns;
  const int groups = groups_of(target.channels);
  for (int group = 0; group < groups; ++group)
    for (int y = s.rows.from; y < s.rows.to; ++y)
      kernels.resize({.above = sixteen(source, group, rows.first[y]),
                      .below = sixteen(source, group, rows.second[y]),
                      .target = sixteen(target, group, y),
                      .down = rows.weight[y],
                      .column = columns.first.data(),
                      .next = columns.second.data(),
                      .right = columns.weight.data(),
                      .pixels = target.width});
  clear_rest(target, groups, s.rows);
}

// Channel by channel: the target's blocks may begin elsewhere than the source's.
void RunBf16::operator()(const ConcatStep& s) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  const bool ends = s.channel + source.channels == target.channels;
  const int lanes = target.blocks() * target.layout().block;  // those past the last channel are zero
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    for (int c = 0; c < source.channels; ++c) {
      const int place = s.channel + c;
      const Channel from(sixteen(source, c / kBlock, y), c % kBlock), to(sixteen(target, place / kBlock, y), place % kBlock);
      for (int x = 0; x < target.width; ++x) to.set(x, from.get(x));
    }
    for (int c = target.channels; ends && c < lanes; ++c)
      for (int x = 0; x < target.width; ++x) Channel(sixteen(target, c / kBlock, y), c % kBlock).set(x, 0);
  }
}

void RunBf16::operator()(const EmitStep& s) const {
  const Buffer& source = at(s.source);
  const long plane = static_cast<long>(source.height) * source.width;
  for (int c = 0; c < source.channels; ++c)
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const Channel from(sixteen(source, c / kBlock, y), c % kBlock);
      float* to = outputs[s.output].real + c * plane + static_cast<long>(y) * source.width;
      for (int x = 0; x < source.width; ++x) to[x] = from.get(x);
    }
}

}  // namespace mobilenet::bf16
