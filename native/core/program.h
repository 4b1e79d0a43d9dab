// A program: buffers in one arena, and stages of steps that run one after another, in one part for each thread. Checked while
// it is built and constant from then on: any number of runners may run it at once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "steps.h"

namespace mobilenet {

struct Output {
  int channels, height, width;
  bool bytes = true;  // every step that writes it has bytes, which a run may write as they are

  std::size_t size() const { return static_cast<std::size_t>(channels) * height * width; }  // at most 2^50
};

// Where a run writes an output: real numbers or, if `real` is null, the bytes that stand for them.
struct OutputPlace {
  float* real;
  std::uint8_t* bytes = nullptr;
};

// Bytes that are `value`, four at a time, in every run: what windows of byte tensors with that zero read above and below the image.
struct Border {
  std::uint32_t value;
  std::size_t offset, bytes;
};

class Program {
 public:
  struct LabeledStep {
    Step step;
    int label;  // the plan's number for it, for timing
  };
  using Part = std::vector<LabeledStep>;

  // The first `zeros` bytes of the arena stay zero: windows of float32 tensors read them above and below the image.
  Program(const Kernels& kernels, int threads, int height, int width, int labels, std::int64_t arena_bytes,
          std::int64_t zero_bytes);

  // Each throws std::invalid_argument on anything that would read or write outside a buffer.
  void border(std::uint32_t value, std::int64_t bytes);  // before the first buffer
  int buffer(Number number, std::int64_t offset, int channels, int height, int width, int slots, int left, int right,
             std::uint32_t zero = 0);
  int output(int channels, int height, int width);
  void add(int part, int label, Step step);  // to the last stage
  void stage();                              // begins the next one; there is one from the start
  const Border* border_of(std::uint32_t value) const;  // null if there is none

  const Kernels& kernels;
  const int threads, height, width, labels;
  const std::size_t arena_bytes, zero_bytes;
  std::vector<Border> borders;  // one after another, behind the zeros
  std::vector<Buffer> buffers;
  std::vector<Output> outputs;
  std::vector<std::vector<Part>> stages;  // no part of a stage reads what another of its parts writes

 private:
  RowTable row_table(const Window& window, const Buffer& source, const Buffer& target, Span rows);
  RowTable byte_table(const Window& window, const Buffer& source, int source_block, const Buffer& target, int block, Span rows);
  std::vector<RowTable> byte_tables(const Window& window, const Buffer& source, const Buffer& target, Span rows);
  std::shared_ptr<const ResizeTable> resize_table(int from, int to, Corners corners);
  std::shared_ptr<const i8::BlendTable> blend_table(int from, int to, Corners corners, i8::Blend blend);
  void complete(Step& step);  // the tables that a step's fields determine

  std::map<std::tuple<int, int, Corners>, std::shared_ptr<const ResizeTable>> resize_tables_;
  std::map<std::tuple<int, int, Corners, i8::Blend>, std::shared_ptr<const i8::BlendTable>> blend_tables_;
  std::size_t table_values_ = 0;
};

}  // namespace mobilenet
