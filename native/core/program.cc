#include "program.h"

#include <algorithm>
#include <climits>
#include <stdexcept>

namespace mobilenet {
namespace {

constexpr int kMaxSide = 1 << 15;  // sides and kernels
constexpr int kMaxChannels = 1 << 20;
constexpr std::int64_t kMaxFloats = std::int64_t{1} << 40;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::invalid_argument("program: " + what);
}

// Position in a source of `from` pixels that pixel `i` of `to` looks at, as TensorFlow and PyTorch count it.
double resized(int i, int from, int to, bool align_corners) {
  if (align_corners) return to > 1 ? i * (static_cast<double>(from - 1) / (to - 1)) : 0;
  const double x = (i + 0.5) * from / to - 0.5;
  return x > 0 ? x : 0;
}

ResizeTable resize_table(int from, int to, bool align_corners) {
  ResizeTable table;
  for (int i = 0; i < to; ++i) {
    const double x = resized(i, from, to, align_corners);
    const int first = static_cast<int>(x) < from ? static_cast<int>(x) : from - 1;
    table.first.push_back(first);
    table.second.push_back(first + 1 < from ? first + 1 : from - 1);
    table.weight.push_back(static_cast<float>(std::min(x - first, 1.0)));
  }
  return table;
}

RowTable row_table(const Window& window, const Buffer& source, const Buffer& target, Rows rows) {
  RowTable table;
  for (int y = rows.from; y < rows.to; ++y) {
    table.push_back(target.row(y));
    for (int i = 0; i < window.kernel; ++i) {
      const int row = window.source_row(y, i);
      table.push_back(row < 0 || row >= source.height ? kOutside : source.row(row) - window.left * kBlock);
    }
  }
  return table;
}

// Checks of one step against the program's buffers, a method for each kind.
struct Checker {
  const Program& program;

  const Buffer& at(int index, const char* role) const {
    require(index >= 0 && index < static_cast<int>(program.buffers.size()),
            std::string(role) + " buffer " + std::to_string(index) + " does not exist");
    return program.buffers[index];
  }

  void rows(const Rows& rows, int height, const char* role) const {
    require(rows.from >= 0 && rows.from <= rows.to && rows.to <= height,
            std::string(role) + " rows " + std::to_string(rows.from) + " to " + std::to_string(rows.to) +
                ": must lie within 0 to " + std::to_string(height));
  }

  void same_size(const Buffer& a, const Buffer& b, const char* what) const {
    require(a.height == b.height && a.width == b.width, std::string(what) + ": the buffers differ in height or width");
  }

  void panels(const Panels& p, const ProductWeights& w) const {
    require(w.lanes == program.kernels.f32.lanes, "the weights are packed for another instruction set");
    require(p.from >= 0 && p.from <= p.to && p.to <= static_cast<int>(w.panels.size()),
            "panels " + std::to_string(p.from) + " to " + std::to_string(p.to) + ": the weights have " +
                std::to_string(w.panels.size()));
  }

  void channels(const Buffer& b, int channels, const char* role) const {
    require(b.channels == channels, std::string(role) + " buffer has " + std::to_string(b.channels) +
                                        " channels, the weights " + std::to_string(channels));
  }

  void window(const Window& w, int kernel) const {
    require(w.kernel == kernel && kernel >= 1 && kernel <= kMaxKernel, "window and weights differ in kernel, or it is past 15");
    require(w.stride >= 1 && w.stride <= kMaxSide && w.dilation >= 1 && w.dilation <= kMaxSide && w.top >= 0 &&
                w.top <= kMaxSide && w.left >= 0 && w.left <= kMaxSide,
            "window outside its range");
  }

  // Every window of `target` must find its columns between the zeros left and right of `source`.
  void columns(const Window& w, const Buffer& source, const Buffer& target) const {
    const long first = source.left - w.left;
    const long last = first + (target.width - 1L) * w.stride + (w.kernel - 1L) * w.dilation;
    require(first >= 0 && last < source.left + source.width + source.right,
            "windows leave the source's columns; it needs more padding");
    require(static_cast<std::size_t>(source.pitch()) <= program.zeros, "fewer zeros than a row of the source");
  }

  void operator()(const PadStep& s) const { rows(s.slots, at(s.target, "target").slots, "target"); }

  void operator()(const StemStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer& target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(target, s.weights->outputs, "target");
    rows(s.rows, target.height, "target");
    require(static_cast<std::size_t>(program.width) <= program.zeros, "fewer zeros than a row of the picture");
  }

  void operator()(const ProductStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(source, s.weights->inputs, "source");
    channels(target, s.weights->outputs, "target");
    panels(s.panels, *s.weights);
    rows(s.rows, target.height, "target");
    if (s.window.kernel == 1 && s.window.stride == 1) {
      require(s.window.top == 0 && s.window.left == 0, "a 1x1 window takes no padding");
      same_size(source, target, "product");
    } else {
      columns(s.window, source, target);
    }
    if (s.residual >= 0) {
      const Buffer& residual = at(s.residual, "residual");
      channels(residual, s.weights->outputs, "residual");
      same_size(residual, target, "residual");
    }
  }

  void operator()(const DepthwiseStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(source, s.weights->channels, "source");
    channels(target, s.weights->channels, "target");
    rows(s.rows, target.height, "target");
    require(s.from_block >= 0 && s.from_block <= s.to_block && s.to_block <= source.blocks(), "blocks outside the channels");
    columns(s.window, source, target);
  }

  void operator()(const ExpandDepthwiseStep& s) const {
    require(s.expand != nullptr && s.depthwise != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &ring = at(s.ring, "ring"), &target = at(s.target, "target");
    require(s.expand->kernel == 1, "the expansion must be 1x1");
    window(s.window, s.depthwise->kernel);
    channels(source, s.expand->inputs, "source");
    require(s.expand->outputs == s.depthwise->channels, "expansion and depthwise differ in channels");
    channels(target, s.depthwise->channels, "target");
    require(ring.channels == s.expand->outputs || ring.blocks() >= s.expand->widest, "the ring is narrower than a panel");
    same_size(source, ring, "expansion");
    panels(s.panels, *s.expand);
    rows(s.expanded, ring.height, "ring");
    rows(s.rows, target.height, "target");
    columns(s.window, ring, target);
  }

  void operator()(const PooledProductStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &scratch = at(s.scratch, "scratch"), &target = at(s.target, "target");
    require(s.weights->kernel == 1, "the product before a pool must be 1x1");
    channels(source, s.weights->inputs, "source");
    channels(target, s.weights->outputs, "target");
    panels(s.panels, *s.weights);
    same_size(source, scratch, "product");
    require(scratch.blocks() >= s.weights->widest && scratch.slots >= scratch.height && !scratch.padded(),
            "the scratch must hold a panel of the whole picture, without padding");
    require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
  }

  void operator()(const PoolStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    channels(target, source.channels, "target");
    require(s.from_block >= 0 && s.from_block <= s.to_block && s.to_block <= source.blocks(), "blocks outside the channels");
    require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
  }

  void operator()(const AddStep& s) const {
    const Buffer &a = at(s.a, "first"), &b = at(s.b, "second"), &target = at(s.target, "target");
    channels(a, target.channels, "first");
    channels(b, target.channels, "second");
    same_size(a, target, "sum");
    same_size(b, target, "sum");
    rows(s.rows, target.height, "target");
  }

  void operator()(const ResizeStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    channels(target, source.channels, "target");
    rows(s.rows, target.height, "target");
  }

  void operator()(const ConcatStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    same_size(source, target, "concatenation");
    require(s.channel >= 0 && s.channel <= target.channels - source.channels, "channels outside the target");
    rows(s.rows, target.height, "target");
  }

  void operator()(const EmitStep& s) const {
    const Buffer& source = at(s.source, "source");
    require(s.output >= 0 && s.output < static_cast<int>(program.outputs.size()), "no such output");
    const Output& output = program.outputs[s.output];
    require(output.channels == source.channels && output.height == source.height && output.width == source.width,
            "output and buffer differ in shape");
    rows(s.rows, source.height, "source");
  }

  void operator()(const BarrierStep&) const { require(false, "barriers are for all threads: use barrier()"); }
};

}  // namespace

Program::Program(const Kernels& kernels_, int threads_, int height_, int width_, std::int64_t arena, std::int64_t zeros_)
    : kernels(kernels_),
      threads(threads_),
      height(height_),
      width(width_),
      arena_floats(static_cast<std::size_t>(arena)),
      zeros(static_cast<std::size_t>(zeros_)) {
  require(threads >= 1 && threads <= 256, "threads must be 1 to 256");
  require(height >= 1 && height <= kMaxSide && width >= 1 && width <= kMaxSide, "picture outside 1 to 32768 pixels");
  require(zeros_ >= 0 && zeros_ <= arena && arena <= kMaxFloats, "zeros or arena outside their range");
  require(zeros_ % kBlock == 0, "zeros must be whole blocks of 16 floats");
  steps.resize(threads);
}

void Program::require_open() const { require(!sealed_, "it has run, and is immutable from then on"); }

int Program::buffer(std::int64_t offset, int channels, int h, int w, int slots, int left, int right) {
  require_open();
  require(channels >= 1 && channels <= kMaxChannels && h >= 1 && h <= kMaxSide && w >= 1 && w <= kMaxSide && slots >= 1 &&
              slots <= h && left >= 0 && left <= kMaxSide && right >= 0 && right <= kMaxSide,
          "buffer sizes outside their range");
  require(offset >= 0 && offset % kBlock == 0, "a buffer's offset must be a multiple of 16 floats");
  const std::int64_t row = (static_cast<std::int64_t>(left) + w + right) * kBlock;
  const std::int64_t size = row * slots * blocks_of(channels);  // at most 2^17 * 2^4 * 2^15 * 2^16 = 2^52
  require(offset >= static_cast<std::int64_t>(zeros) && size <= static_cast<std::int64_t>(arena_floats) - offset,
          "buffer of " + std::to_string(size) + " floats at " + std::to_string(offset) + " leaves the arena of " +
              std::to_string(arena_floats));
  buffers.push_back({static_cast<std::size_t>(offset), channels, h, w, slots, left, right});
  return static_cast<int>(buffers.size()) - 1;
}

int Program::output(int channels, int h, int w) {
  require_open();
  require(channels >= 1 && channels <= kMaxChannels && h >= 1 && h <= kMaxSide && w >= 1 && w <= kMaxSide,
          "output sizes outside their range");
  outputs.push_back({channels, h, w});
  return static_cast<int>(outputs.size()) - 1;
}

void Program::add(int thread, int label, Step step) {
  require_open();
  require(thread >= 0 && thread < threads, "thread " + std::to_string(thread) + " of " + std::to_string(threads));
  require(label >= 0 && label < kMaxChannels, "label outside its range");
  std::visit(Checker{*this}, step);
  if (auto* s = std::get_if<DepthwiseStep>(&step)) s->table = row_table(s->window, buffers[s->source], buffers[s->target], s->rows);
  if (auto* s = std::get_if<ExpandDepthwiseStep>(&step))
    s->table = row_table(s->window, buffers[s->ring], buffers[s->target], s->rows);
  if (auto* resize = std::get_if<ResizeStep>(&step)) {
    const Buffer &source = buffers[resize->source], &target = buffers[resize->target];
    resize->columns = resize_table(source.width, target.width, resize->align_corners);
    resize->source_rows = resize_table(source.height, target.height, resize->align_corners);
  }
  if (label >= labels) labels = label + 1;
  steps[thread].push_back({std::move(step), label});
}

void Program::barrier() {
  require_open();
  for (auto& thread : steps) thread.push_back({BarrierStep{}, 0});
}

}  // namespace mobilenet
