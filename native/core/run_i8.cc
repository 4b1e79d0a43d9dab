#include "run_i8.h"

#include <algorithm>

#include "../kernels/i8/requantize.h"
#include "image.h"

namespace mobilenet::i8 {
namespace {

struct Plain;  // for `rescaled`: what is computed once a channel or once a value of a byte needs no vectors

// Every byte on another scale.
void rescale_all(const Rescale& to, std::uint8_t (&bytes)[256]) {
  for (int i = 0; i < 256; ++i) bytes[i] = rescaled<Plain>(i - to.source_zero, to);
}

bool keeps_all(const std::uint8_t (&bytes)[256]) {
  for (int i = 0; i < 256; ++i)
    if (bytes[i] != i) return false;
  return true;
}

}  // namespace

void RunI8::operator()(const PixelStep& s) const {
  const Buffer& target = at(s.target);
  const long plane = static_cast<long>(program.height) * program.width;
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    if (pixels) {
      pixel_row(s, pixels + static_cast<std::size_t>(y) * program.width * kPlanes, row(target, 0, y));
      continue;
    }
    const float* from = image + static_cast<long>(y) * program.width;
    kernels.pixels({.rounding = s.rounding,
                    .planes = {from, from + plane, from + 2 * plane},
                    .factor = s.factor,
                    .offset = s.offset,
                    .target = row(target, 0, y),
                    .pixels = program.width});
  }
}

// A row of the image's bytes, some pixels at a time.
void RunI8::pixel_row(const PixelStep& s, const std::uint8_t* from, std::uint8_t* to) const {
  constexpr int some = 64;
  float values[kPlanes * some];
  for (int x = 0; x < program.width; x += some) {
    const int count = std::min(some, program.width - x);
    planes(from + static_cast<std::size_t>(x) * kPlanes, count, levels, values);
    kernels.pixels({.rounding = s.rounding,
                    .planes = {values, values + count, values + 2 * count},
                    .factor = s.factor,
                    .offset = s.offset,
                    .target = to + 4L * x,
                    .pixels = count});
  }
}

// For panel `panel` of the weights and `place` of the target: in a ring that panels share, each of them is the first.
ProductCall RunI8::call(const ProductWeights& w, int panel, const Buffer& target, int place) const {
  return {.taps = nullptr,
          .tap_count = w.kernel * w.kernel,
          .stride = 1,
          .full_panels = w.full_panels(),
          .narrow = w.narrow(),
          .quads = w.quads(),
          .weights = w.weights.as<std::int8_t>() + w.offsets[panel],
          .more = w.more[panel].data(),
          .more_count = static_cast<int>(w.more[panel].size()),
          .more_weights = w.more_weights[panel].data(),
          .requantize = w.constants.of(panel),
          .width = panel_width(w.outputs, panel),
          .target_pixel = static_cast<int>(target.pixel_bytes(place)) / target.layout().itemsize,
          .target = nullptr,
          .residual = nullptr,
          .factor = w.factors.as<std::int32_t>() + (w.residual ? panel * kSlots : 0),
          .pixels = target.width,
          .row_pixels = target.width,
          .row = target.columns() * target.pixel_bytes(place) / target.layout().itemsize};
}

// One panel of a 1x1 convolution.
void RunI8::product(const ProductWeights& w, int panel, const Buffer& source, const Buffer& target, int place,
                    const Buffer* residual, Span rows) const {
  const int last = source.blocks() - 1;
  ProductCall made = call(w, panel, target, place);
  for (int y = rows.from; y < rows.to;) {
    int count = std::min({rows.to - y, consecutive(source, y), target.slots - y % target.slots});
    if (residual) count = std::min({count, consecutive(*residual, y), consecutive(target, y)});
    const Tap tap{.full = row(source, 0, y), .panel = static_cast<long>(source.block_bytes()), .last = row(source, last, y)};
    made.taps = &tap;
    made.target = row(target, place, y);
    if (residual) made.residual = row(*residual, place, y);
    made.pixels = count * target.width;
    made.row_pixels = target.padded() ? target.width : made.pixels;
    kernels.product(made);
    y += count;
  }
}

// One panel of a full convolution, row by row; kernel rows outside the image read a row of zero points.
void RunI8::convolution(const ProductStep& s, int panel) const {
  const ProductWeights& w = *s.weights;
  const Buffer &source = at(s.source), &target = at(s.target);
  const Window& window = s.window;
  const int last = source.blocks() - 1;
  ProductCall made = call(w, panel, target, panel);
  made.stride = window.stride;
  Tap taps[kMaxKernel * kMaxKernel];
  made.taps = taps;
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    for (int i = 0; i < window.kernel; ++i) {
      const int from = window.source_row(y, i);
      const bool outside = from < 0 || from >= source.height;
      for (int j = 0; j < window.kernel; ++j) {
        const long column = static_cast<long>(j) * window.dilation - window.left;
        taps[i * window.kernel + j] =
            outside ? Tap{.full = border(source), .panel = 0, .last = border(source)}
                    : Tap{.full = row(source, 0, from) + column * source.pixel_bytes(0),
                          .panel = static_cast<long>(source.block_bytes()),
                          .last = row(source, last, from) + column * source.pixel_bytes(last)};
      }
    }
    made.target = row(target, panel, y);
    if (s.residual >= 0) made.residual = row(at(s.residual), panel, y);
    kernels.product(made);
  }
}

void RunI8::operator()(const ProductStep& s) const {
  const bool plain = s.window.is_product();
  const Buffer* residual = s.residual >= 0 ? &at(s.residual) : nullptr;
  for (int panel = s.panels.from; panel < s.panels.to; ++panel)
    plain ? product(*s.weights, panel, at(s.source), at(s.target), panel, residual, s.rows) : convolution(s, panel);
}

// One panel of the target, from panel `place` of the source.
void RunI8::depthwise(const DepthwiseWeights& w, const Window& window, const std::vector<RowTable>& tables, int panel,
                      const Buffer& source, int place, const Buffer& target) const {
  const RowTable& table = tables[panel == target.blocks() - 1];
  kernels.depthwise({.offsets = table.data(),
                     .rows = static_cast<int>(table.size()) / (window.kernel + 1),
                     .source = start(source, place),
                     .border = border(source),
                     .weights = w.weights.as<std::int8_t>() + panel * w.panel,
                     .passes = w.passes[panel],
                     .pass = static_cast<long>(w.passes.size() * w.panel),
                     .requantize = w.constants.of(panel),
                     .source_pixel = static_cast<int>(source.pixel_bytes(place)),
                     .width = panel_width(w.channels, panel),
                     .target = start(target, panel),
                     .pixels = target.width,
                     .kernel = window.kernel,
                     .stride = window.stride,
                     .dilation = window.dilation});
}

void RunI8::operator()(const DepthwiseStep& s) const {
  for (int panel = s.panels.from; panel < s.panels.to; ++panel)
    depthwise(*s.weights, s.window, s.tables, panel, at(s.source), panel, at(s.target));
}

void RunI8::operator()(const ExpandDepthwiseStep& s) const {
  const Buffer& ring = at(s.ring);
  const bool shared = ring.channels != s.expand->outputs;
  for (int panel = s.panels.from; panel < s.panels.to; ++panel) {
    const int place = shared ? 0 : panel;
    product(*s.expand, panel, at(s.source), ring, place, nullptr, s.expanded);
    depthwise(*s.depthwise, s.window, s.tables, panel, ring, place, at(s.target));
  }
}

void RunI8::operator()(const PooledProductStep& s) const {
  const Buffer &source = at(s.source), &scratch = at(s.scratch);
  const bool shared = scratch.channels != s.weights->outputs;
  for (int panel = s.panels.from; panel < s.panels.to; ++panel) {
    const int place = shared ? 0 : panel;
    product(*s.weights, panel, source, scratch, place, nullptr, {0, source.height});
    pool(scratch, place, at(s.target), panel, s.mean);
  }
}

void RunI8::operator()(const GlobalPoolStep& s) const {
  for (int panel = s.panels.from; panel < s.panels.to; ++panel) pool(at(s.source), panel, at(s.target), panel, s.mean);
}

void RunI8::pool(const Buffer& source, int place, const Buffer& target, int panel, const Rescale& mean) const {
  const int width = static_cast<int>(source.pixel_bytes(place));
  std::int32_t sums[kPanel] = {};
  if (source.padded() || source.slots < source.height)
    for (int y = 0; y < source.height; ++y) kernels.accumulate(row(source, place, y), source.width, width, sums);
  else
    kernels.accumulate(row(source, place, 0), static_cast<long>(source.height) * source.width, width, sums);
  const std::int64_t zero = static_cast<std::int64_t>(source.height) * source.width * mean.source_zero;
  std::uint8_t* means = row(target, panel, 0);
  for (int c = 0; c < target.pixel_bytes(panel); ++c) means[c] = rescaled<Plain>(sums[c] - zero, mean);
}

void RunI8::operator()(const AddStep& s) const {
  const Buffer &a = at(s.a), &b = at(s.b), &target = at(s.target);
  for (int panel = s.panels.from; panel < s.panels.to; ++panel)
    for (int y = s.rows.from; y < s.rows.to; ++y)
      kernels.add({.a = row(a, panel, y),
                   .b = row(b, panel, y),
                   .target = row(target, panel, y),
                   .count = target.width * target.pixel_bytes(panel),
                   .by = s.by});
}

// In integers: TensorFlow's for int8.
void RunI8::resize_fine(const ResizeStep& s, const std::uint8_t* scaled) const {
  constexpr int one = 1 << kFineBits;
  constexpr Rescale away{.rounding = Rounding::divided, .factor = one * one, .shift = 0, .source_zero = 128, .zero = 128};
  const Buffer &source = at(s.source), &target = at(s.target);
  const BlendTable &rows = *s.table_rows, &columns = *s.table_columns;
  for (int panel = 0; panel < target.blocks(); ++panel) {
    const long pixel = source.pixel_bytes(panel);
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const std::uint8_t *above = row(source, panel, rows.first[y]), *below = row(source, panel, rows.second[y]);
      const int down = rows.fine[y], up = one - down;
      std::uint8_t* to = row(target, panel, y);
      for (int x = 0; x < target.width; ++x) {
        const long left = columns.first[x] * pixel, right = columns.second[x] * pixel;
        const int across = columns.fine[x];
        for (long c = 0; c < pixel; ++c) {
          const int before = above[left + c] * up + below[left + c] * down;
          const int after = above[right + c] * up + below[right + c] * down;
          const int sum = before * (one - across) + after * across;
          to[x * pixel + c] = scaled[rescaled<Plain>(sum - away.source_zero * away.factor, away)];
        }
      }
    }
  }
}

void RunI8::operator()(const ResizeStep& s) const {
  std::uint8_t scaled[256];
  rescale_all(s.to, scaled);
  if (s.blend == Blend::fine) return resize_fine(s, scaled);
  const Buffer &source = at(s.source), &target = at(s.target);
  const BlendTable &rows = *s.table_rows, &columns = *s.table_columns;
  const bool real = target.number == Number::real, same = keeps_all(scaled);
  for (int panel = 0; panel < target.blocks(); ++panel)
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      std::uint8_t* to = row(target, panel, y);
      kernels.resize({.above = row(source, panel, rows.first[y]),
                      .below = row(source, panel, rows.second[y]),
                      .first = columns.first.data(),
                      .second = columns.second.data(),
                      .one = s.blend == Blend::even ? static_cast<float>(1 << kEvenBits) : 1.0f,
                      .down = rows.weight[y],
                      .across = columns.weight.data(),
                      .width = static_cast<int>(source.pixel_bytes(panel)),
                      .pixels = target.width,
                      .target = real ? nullptr : to,
                      .real = real ? reinterpret_cast<float*>(to) : nullptr,
                      .zero = static_cast<float>(s.zero << (2 * kEvenBits)),
                      .scale = s.scale});
      if (!real && !same)
        for (long i = 0; i < target.width * target.pixel_bytes(panel); ++i) to[i] = scaled[to[i]];
    }
}

// Channel by channel: the target's panels may begin elsewhere than the source's.
void RunI8::operator()(const ConcatStep& s) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  std::uint8_t known[256];
  rescale_all(s.scale, known);
  for (int c = 0; c < source.channels; ++c) {
    const int to = s.channel + c;
    const long from_step = source.pixel_bytes(c / kPanel), to_step = target.pixel_bytes(to / kPanel);
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const std::uint8_t* from = row(source, c / kPanel, y) + c % kPanel;
      std::uint8_t* pixel = row(target, to / kPanel, y) + to % kPanel;
      for (int x = 0; x < target.width; ++x) pixel[x * to_step] = known[from[x * from_step]];
    }
  }
}

void RunI8::operator()(const EmitStep& s) const {
  const Buffer& source = at(s.source);
  const long plane = static_cast<long>(source.height) * source.width;
  for (int panel = 0; panel < source.blocks(); ++panel) {
    const long step = source.pixel_bytes(panel) / source.layout().itemsize;
    const int first = panel * kPanel, channels = std::min(kPanel, source.channels - first);
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const OutputPlace& output = outputs[s.output];
      const long start = first * plane + static_cast<long>(y) * source.width;
      float* to = output.real ? output.real + start : nullptr;
      const std::uint8_t* bytes = row(source, panel, y);
      if (source.number == Number::u8) {
        kernels.emit({.source = bytes,
                      .width = static_cast<int>(step),
                      .channels = channels,
                      .pixels = source.width,
                      .zero = s.zero,
                      .scale = s.scale,
                      .target = to,
                      .bytes = output.real ? nullptr : output.bytes + start,
                      .plane = plane});
        continue;
      }
      const auto* reals = reinterpret_cast<const float*>(bytes);
      for (int c = 0; c < channels; ++c, to += plane)
        for (int x = 0; x < source.width; ++x) to[x] = reals[x * step + c];
    }
  }
}

}  // namespace mobilenet::i8
