// A program: buffers in one arena, and for each thread the steps it runs, in order. Built once, checked while built,
// then immutable: any number of runners may run it at once.
#pragma once

#include <cstdint>
#include <string>

#include "steps.h"

namespace mobilenet {

struct Output {
  int channels, height, width;
};

class Program {
 public:
  // The arena starts with `zeros` floats that stay zero: what a window reads above and below the picture.
  Program(const Kernels& kernels, int threads, int height, int width, std::int64_t arena_floats, std::int64_t zeros);

  // Each throws std::invalid_argument on anything that would read or write outside a buffer.
  int buffer(std::int64_t offset, int channels, int height, int width, int slots, int left, int right);
  int output(int channels, int height, int width);
  void add(int thread, int label, Step step);
  void barrier();

  // From the first run on nothing may be added: other threads may be reading.
  void seal() const { sealed_ = true; }

  struct Labelled {
    Step step;
    int label;  // the plan's number for it, for timing
  };

  const Kernels& kernels;
  const int threads, height, width;
  const std::size_t arena_floats, zeros;
  std::vector<Buffer> buffers;
  std::vector<Output> outputs;
  std::vector<std::vector<Labelled>> steps;  // by thread
  int labels = 0;

 private:
  void require_open() const;

  mutable bool sealed_ = false;  // written by binding.cc only, under Python's lock
};

}  // namespace mobilenet
