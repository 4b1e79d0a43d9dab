#include "run_i8.h"

#include <algorithm>

#include "image.h"

namespace mobilenet::i8 {
namespace {

// The definition of a rounding, for what is computed once a channel or once a value of a byte.
std::uint8_t rounded_byte(std::int64_t sum, const Rescale& to) {
  const std::int64_t product = sum * to.k;
  const std::int64_t y =
      to.zero + ((product + (std::int64_t{1} << (to.shift - 1)) - 1 + ((product >> to.shift) & 1)) >> to.shift);
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(y, 0, 255));
}

}  // namespace

void RunI8::operator()(const PixelStep& s) const {
  const Buffer& target = at(s.target);
  const long plane = static_cast<long>(program.height) * program.width;
  for (int y = s.rows.from; y < s.rows.to; ++y) {
    const float* from = image + static_cast<long>(y) * program.width;
    kernels.pixels({.planes = {from, from + plane, from + 2 * plane},
                    .factor = s.factor,
                    .offset = s.offset,
                    .target = row(target, 0, y),
                    .pixels = program.width});
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
  const bool plain = s.window.kernel == 1 && s.window.stride == 1;
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
  for (int c = 0; c < target.pixel_bytes(panel); ++c) means[c] = rounded_byte(sums[c] - zero, mean);
}

void RunI8::operator()(const AddStep& s) const {
  const Buffer &a = at(s.a), &b = at(s.b), &target = at(s.target);
  const Rescale to{.k = 1, .shift = 14, .source_zero = 0, .zero = s.zero};
  for (int panel = 0; panel < target.blocks(); ++panel)
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const std::uint8_t *from_a = row(a, panel, y), *from_b = row(b, panel, y);
      std::uint8_t* sum = row(target, panel, y);
      for (long i = 0; i < target.width * target.pixel_bytes(panel); ++i)
        sum[i] = rounded_byte(static_cast<std::int64_t>(s.factor_a) * (from_a[i] - s.zero_a) +
                                  static_cast<std::int64_t>(s.factor_b) * (from_b[i] - s.zero_b),
                              to);
    }
}

// The sums of a pixel's four neighbors, in 2^-16 of a byte.
template <class Put>
void RunI8::blend(const ResizeStep& s, Put put) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  const BlendTable &rows = *s.table_rows, &columns = *s.table_columns;
  for (int panel = 0; panel < target.blocks(); ++panel) {
    const long pixel = source.pixel_bytes(panel);
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const std::uint8_t *above = row(source, panel, rows.first[y]), *below = row(source, panel, rows.second[y]);
      const int down = rows.weight[y];
      auto* to = row(target, panel, y);
      for (int x = 0; x < target.width; ++x) {
        const long left = columns.first[x] * pixel, right = columns.second[x] * pixel;
        const int across = columns.weight[x];
        for (long c = 0; c < pixel; ++c) {
          const int before = above[left + c] * (256 - down) + below[left + c] * down;
          const int after = above[right + c] * (256 - down) + below[right + c] * down;
          put(to, x * pixel + c, before * (256 - across) + after * across);
        }
      }
    }
  }
}

void RunI8::operator()(const ResizeStep& s) const {
  const Buffer& target = at(s.target);
  const Rescale to{.k = 1, .shift = 16, .source_zero = 0, .zero = 0};
  if (target.number == Number::real)
    blend(s, [&](std::uint8_t* row, long i, int sum) {
      reinterpret_cast<float*>(row)[i] = static_cast<float>(sum - (s.zero << 16)) * s.scale;
    });
  else
    blend(s, [&](std::uint8_t* row, long i, int sum) { row[i] = rounded_byte(sum, to); });
}

// Channel by channel: the target's panels may begin elsewhere than the source's.
void RunI8::operator()(const ConcatStep& s) const {
  const Buffer &source = at(s.source), &target = at(s.target);
  std::uint8_t known[256];
  for (int i = 0; i < 256; ++i)
    known[i] = s.scale.k ? rounded_byte(i - s.scale.source_zero, s.scale) : static_cast<std::uint8_t>(i);
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
      float* to = outputs[s.output] + first * plane + static_cast<long>(y) * source.width;
      const std::uint8_t* bytes = row(source, panel, y);
      const auto* reals = reinterpret_cast<const float*>(bytes);
      for (int c = 0; c < channels; ++c, to += plane)
        if (source.number == Number::real)
          for (int x = 0; x < source.width; ++x) to[x] = reals[x * step + c];
        else
          for (int x = 0; x < source.width; ++x) to[x] = static_cast<float>(bytes[x * step + c] - s.zero) * s.scale;
    }
  }
}

}  // namespace mobilenet::i8
