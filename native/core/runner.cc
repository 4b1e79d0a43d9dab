#include "runner.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "image.h"
#ifndef MOBILENET_NO_BF16
#include "run_bf16.h"
#endif
#include "run_i8.h"

namespace mobilenet {
namespace {

// The float32 steps.
struct RunF32 : Run {
  const F32& kernels = program.kernels.f32;

  float* start(const Buffer& b) const { return reinterpret_cast<float*>(arena + b.offset); }
  const float* zeros() const { return reinterpret_cast<const float*>(arena); }

  // One panel of a 1x1 convolution; blocks of the target are counted from `shift` on.
  void product(const ProductWeights& w, int panel, const Buffer& source, const Buffer& target, const Buffer* residual,
               Span rows, Range range, int shift = 0) const {
    const ProductWeights::Panel& p = w.panels[panel];
    const int block = p.first_block - shift;
    for (int y = rows.from; y < rows.to;) {
      int count = std::min({rows.to - y, consecutive(source, y), consecutive(target, y)});
      if (residual) count = std::min(count, consecutive(*residual, y));
      const float* pixels = start(source) + source.row(y);
      kernels.product({.taps = &pixels,
                       .tap_count = 1,
                       .first_tap = 0,
                       .all_taps = 1,
                       .pixel_step = kBlock,
                       .source_block = source.block(),
                       .depth = w.depth,
                       .weights = w.weights.as<float>() + p.offset,
                       .bias = w.bias.as<float>() + p.first_block * kBlock,
                       .blocks = p.blocks,
                       .half = p.half,
                       .target = start(target) + block * target.block() + target.row(y),
                       .target_block = target.block(),
                       .residual = residual ? start(*residual) + block * residual->block() + residual->row(y) : nullptr,
                       .residual_block = residual ? residual->block() : 0,
                       .pixels = count * target.width,
                       .range = range});
      y += count;
    }
  }

  // One panel of a full convolution, row by row; kernel rows outside the image are left out.
  void convolution(const ProductStep& s, int panel) const {
    const ProductWeights& w = *s.weights;
    const ProductWeights::Panel& p = w.panels[panel];
    const Buffer &source = at(s.source), &target = at(s.target);
    const Window& window = s.window;
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const float* taps[kMaxKernel * kMaxKernel];
      int count = 0, first = window.kernel * window.kernel;
      for (int i = 0; i < window.kernel; ++i) {
        const int row = window.source_row(y, i);
        if (row < 0 || row >= source.height) continue;
        first = std::min(first, i * window.kernel);
        for (int j = 0; j < window.kernel; ++j)
          taps[count++] = start(source) + source.row(row) + (j * window.dilation - window.left) * kBlock;
      }
      const float* residual = nullptr;
      if (s.residual >= 0) residual = start(at(s.residual)) + at(s.residual).row(y) + p.first_block * at(s.residual).block();
      kernels.product({.taps = taps,
                       .tap_count = count,
                       .first_tap = first,
                       .all_taps = window.kernel * window.kernel,
                       .pixel_step = window.stride * kBlock,
                       .source_block = source.block(),
                       .depth = w.depth,
                       .weights = w.weights.as<float>() + p.offset,
                       .bias = w.bias.as<float>() + p.first_block * kBlock,
                       .blocks = p.blocks,
                       .half = p.half,
                       .target = start(target) + p.first_block * target.block() + target.row(y),
                       .target_block = target.block(),
                       .residual = residual,
                       .residual_block = residual ? at(s.residual).block() : 0,
                       .pixels = target.width,
                       .range = range_of(s.activation)});
    }
  }

  // Rows of one block; the source and target may count their blocks from different channels.
  void depthwise(const DepthwiseWeights& w, const Window& window, const RowTable& table, int block, const Buffer& source,
                 int source_block, const Buffer& target, Range range) const {
    const long size = static_cast<long>(window.kernel) * window.kernel * kBlock;
    kernels.depthwise({.offsets = table.data(),
                       .rows = static_cast<int>(table.size()) / (window.kernel + 1),
                       .source = start(source) + source_block * source.block(),
                       .zeros = zeros(),
                       .weights = w.weights.as<float>() + block * size,
                       .bias = w.bias.as<float>() + block * kBlock,
                       .target = start(target) + block * target.block(),
                       .pixels = target.width,
                       .kernel = window.kernel,
                       .stride = window.stride,
                       .dilation = window.dilation,
                       .range = range});
  }

  // Prefetches rows of the image from `row` on.
  void prefetch(int row, int count) const {
    constexpr int line = 64 / sizeof(float);
    for (int plane = 0; plane < kPlanes; ++plane)
      for (int y = std::max(row, 0); y < std::min(row + count, program.height); ++y)
        for (int x = 0; x < program.width; x += line)
          __builtin_prefetch(image + (static_cast<long>(plane) * program.height + y) * program.width + x);
  }

  void operator()(const StemStep& s) const {
    const Buffer& target = at(s.target);
    const int k = s.window.kernel;
    for (int y = s.rows.from; y < s.rows.to; ++y) {
      const float* rows[kPlanes * kMaxKernel];
      prefetch(s.window.source_row(y, k), s.window.stride);
      for (int plane = 0; plane < kPlanes; ++plane)
        for (int i = 0; i < k; ++i) {
          const long row = s.window.source_row(y, i);
          rows[plane * k + i] = row < 0 || row >= program.height
                                    ? zeros()
                                    : image + (static_cast<long>(plane) * program.height + row) * program.width;
        }
      kernels.stem({.rows = rows,
                    .width = program.width,
                    .left = s.window.left,
                    .weights = s.weights->weights.as<float>(),
                    .bias = s.weights->bias.as<float>(),
                    .blocks = target.blocks(),
                    .target = start(target) + target.row(y),
                    .target_block = target.block(),
                    .pixels = target.width,
                    .kernel = k,
                    .stride = s.window.stride,
                    .dilation = s.window.dilation,
                    .range = range_of(s.activation)});
    }
  }

  void operator()(const ProductStep& s) const {
    const bool plain = s.window.is_product();
    const Buffer* residual = s.residual >= 0 ? &at(s.residual) : nullptr;
    for (int panel = s.panels.from; panel < s.panels.to; ++panel)
      plain ? product(*s.weights, panel, at(s.source), at(s.target), residual, s.rows, range_of(s.activation))
            : convolution(s, panel);
  }

  void operator()(const DepthwiseStep& s) const {
    for (int block = s.blocks.from; block < s.blocks.to; ++block)
      depthwise(*s.weights, s.window, s.table, block, at(s.source), block, at(s.target), range_of(s.activation));
  }

  void operator()(const ExpandDepthwiseStep& s) const {
    const Buffer& ring = at(s.ring);
    const bool shared = ring.channels != s.expand->outputs;
    for (int panel = s.panels.from; panel < s.panels.to; ++panel) {
      const ProductWeights::Panel& p = s.expand->panels[panel];
      const int shift = shared ? p.first_block : 0;
      product(*s.expand, panel, at(s.source), ring, nullptr, s.expanded, range_of(s.expand_activation), shift);
      for (int block = p.first_block; block < p.first_block + p.blocks; ++block)
        depthwise(*s.depthwise, s.window, s.table, block, ring, block - shift, at(s.target), range_of(s.activation));
    }
  }

  void operator()(const PooledProductStep& s) const {
    const Buffer &source = at(s.source), &scratch = at(s.scratch), &target = at(s.target);
    const long pixels = static_cast<long>(source.height) * source.width;
    for (int panel = s.panels.from; panel < s.panels.to; ++panel) {
      const ProductWeights::Panel& p = s.weights->panels[panel];
      product(*s.weights, panel, source, scratch, nullptr, {0, source.height}, range_of(s.activation), p.first_block);
      for (int block = 0; block < p.blocks; ++block)
        mean(start(scratch) + block * scratch.block(), pixels, target, p.first_block + block);
    }
  }

  void mean(const float* pixels, long count, const Buffer& target, int block) const {
    float* sum = start(target) + block * target.block() + target.row(0);
    std::memset(sum, 0, kBlock * sizeof(float));
    kernels.accumulate(pixels, count, 1.0f / static_cast<float>(count), sum);
  }

  void operator()(const GlobalPoolStep& s) const {
    const Buffer &source = at(s.source), &target = at(s.target);
    const float scale = 1.0f / (static_cast<float>(source.height) * static_cast<float>(source.width));
    for (int block = s.blocks.from; block < s.blocks.to; ++block) {
      float* sum = start(target) + block * target.block() + target.row(0);
      std::memset(sum, 0, kBlock * sizeof(float));
      for (int y = 0; y < source.height; ++y)
        kernels.accumulate(start(source) + block * source.block() + source.row(y), source.width,
                           y + 1 < source.height ? 1.0f : scale, sum);
    }
  }

  void operator()(const AddStep& s) const {
    const Buffer &a = at(s.a), &b = at(s.b), &target = at(s.target);
    for (int block = s.blocks.from; block < s.blocks.to; ++block)
      for (int y = s.rows.from; y < s.rows.to; ++y)
        kernels.add(start(a) + block * a.block() + a.row(y), start(b) + block * b.block() + b.row(y),
                    start(target) + block * target.block() + target.row(y), static_cast<long>(target.width) * kBlock);
  }

  void operator()(const ResizeStep& s) const {
    const Buffer &source = at(s.source), &target = at(s.target);
    for (int block = 0; block < target.blocks(); ++block)
      for (int y = s.rows.from; y < s.rows.to; ++y) {
        const float* pixels = start(source) + block * source.block();
        kernels.resize({.above = pixels + source.row(s.table_rows->first[y]),
                        .below = pixels + source.row(s.table_rows->second[y]),
                        .down = s.table_rows->weight[y],
                        .column = s.table_columns->first.data(),
                        .next = s.table_columns->second.data(),
                        .right = s.table_columns->weight.data(),
                        .target = start(target) + block * target.block() + target.row(y),
                        .pixels = target.width});
      }
  }

  // Channel by channel: the target's blocks may begin elsewhere than the source's.
  void operator()(const ConcatStep& s) const {
    const Buffer &source = at(s.source), &target = at(s.target);
    for (int c = 0; c < source.channels; ++c)
      for (int y = s.rows.from; y < s.rows.to; ++y) {
        const int to = s.channel + c;
        const float* from = start(source) + c / kBlock * source.block() + source.row(y) + c % kBlock;
        float* pixel = start(target) + to / kBlock * target.block() + target.row(y) + to % kBlock;
        for (int x = 0; x < target.width; ++x) pixel[x * kBlock] = from[x * kBlock];
        if (to == target.channels - 1)  // lanes past the last channel are zero
          for (int lane = 1; to % kBlock + lane < kBlock; ++lane)
            for (int x = 0; x < target.width; ++x) pixel[x * kBlock + lane] = 0;
      }
  }

  void operator()(const EmitStep& s) const {
    const Buffer& source = at(s.source);
    const long plane = static_cast<long>(source.height) * source.width;
    for (int c = 0; c < source.channels; ++c)
      for (int y = s.rows.from; y < s.rows.to; ++y) {
        const float* from = start(source) + c / kBlock * source.block() + source.row(y) + c % kBlock;
        float* to = outputs[s.output].real + c * plane + static_cast<long>(y) * source.width;
        for (int x = 0; x < source.width; ++x) to[x] = from[x * kBlock];
      }
  }
};

// All steps of one image's run: of each number type its own.
template <class... Runs>
struct StepsOf : Runs... {
  explicit StepsOf(const Run& run) : Runs{run}... {}
  using Runs::operator()...;

  void operator()(const PadStep& s) const { RunF32::pad(s); }
};
#ifdef MOBILENET_NO_BF16
using Steps = StepsOf<RunF32, i8::RunI8>;
#else
using Steps = StepsOf<RunF32, i8::RunI8, bf16::RunBf16>;
#endif

#ifdef MOBILENET_NO_CLOCK
double now() { return 0; }
#else
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
#endif

struct Job {
  const Run& run;
  double* seconds;
  double before;  // thread 0's last look at the clock, and the label of the step that it had done
  int label = 0;
};

void run_part(void* context, int stage, int part, int thread) {
  Job& job = *static_cast<Job*>(context);
  const bool timed = thread == 0 && job.seconds;
  const Steps run(job.run);
  const Kernels& kernels = job.run.program.kernels;
  if (kernels.i8.begin) kernels.i8.begin();
  const auto count = [&] {
    const double after = now();
    job.seconds[job.label] += after - job.before;
    job.before = after;
  };
  if (timed && stage > 0) count();  // waiting for the stage's end belongs to the step before it
  for (const Program::LabeledStep& step : job.run.program.stages[stage][part]) {
    std::visit(run, step.step);
    if (!timed) continue;
    job.label = step.label;
    count();
  }
  if (kernels.i8.end) kernels.i8.end();
  if (kernels.bf16.end) kernels.bf16.end();
}

}  // namespace

void Runner::prepare(const Program& program) {
  const std::size_t bytes = program.arena_bytes + kOverread;
  if (arena_.bytes() >= bytes) return;
  arena_ = Memory();  // first free the old one
  arena_ = Memory(bytes);
}

std::size_t Runner::arena_needed(const Program& program) { return program.arena_bytes + kOverread + kLine; }

void Runner::prepare(const Program& program, void* arena) {
  const std::size_t past = reinterpret_cast<std::uintptr_t>(arena) % kLine;
  arena_ = Memory(static_cast<std::byte*>(arena) + (past ? kLine - past : 0), program.arena_bytes + kOverread);
  workers_.ready();
}

void Runner::run(const Program& program, const float* image, const OutputPlace* outputs, double* seconds) {
  run({.program = program, .arena = arena_.as<std::byte>(), .image = image, .outputs = outputs}, seconds);
}

void Runner::run_pixels(const Program& program, const std::uint8_t* pixels, const float* levels, const OutputPlace* outputs) {
  run({.program = program, .arena = arena_.as<std::byte>(), .image = nullptr, .outputs = outputs, .pixels = pixels, .levels = levels},
      nullptr);
}

void Runner::run(const Run& run, double* seconds) {
  const Program& program = run.program;
  std::memset(run.arena, 0, program.zero_bytes);
  for (const Border& border : program.borders) fill(run.arena + border.offset, border.bytes, border.value);
  Job job{.run = run, .seconds = seconds, .before = seconds ? now() : 0};
  workers_.run(run_part, &job, static_cast<int>(program.stages.size()));
}

}  // namespace mobilenet
