// A program: buffers in one arena, and for each thread the steps it runs, in order. Checked while it is built and constant
// from then on: any number of runners may run it at once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "steps.h"

namespace mobilenet {

struct Output {
  int channels, height, width;

  std::size_t size() const { return static_cast<std::size_t>(channels) * height * width; }  // at most 2^50
};

class Program {
 public:
  struct LabeledStep {
    Step step;
    int label;  // the plan's number for it, for timing
  };

  // The first `zeros` bytes of the arena stay zero: windows read them above and below the image.
  Program(const Kernels& kernels, int threads, int height, int width, int labels, std::int64_t arena_bytes,
          std::int64_t zero_bytes);

  // Each throws std::invalid_argument on anything that would read or write outside a buffer.
  int buffer(Number number, std::int64_t offset, int channels, int height, int width, int slots, int left, int right);
  int output(int channels, int height, int width);
  void add(int thread, int label, Step step);
  void barrier();

  const Kernels& kernels;
  const int threads, height, width, labels;
  const std::size_t arena_bytes, zero_bytes;
  std::vector<Buffer> buffers;
  std::vector<Output> outputs;
  std::vector<std::vector<LabeledStep>> steps;  // by thread

 private:
  RowTable row_table(const Window& window, const Buffer& source, const Buffer& target, Span rows);
  std::shared_ptr<const ResizeTable> resize_table(int from, int to, Corners corners);

  std::map<std::tuple<int, int, Corners>, std::shared_ptr<const ResizeTable>> resize_tables_;
  std::size_t table_values_ = 0;
};

}  // namespace mobilenet
