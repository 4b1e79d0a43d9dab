// Runs programs: one arena, one set of threads. A runner serves one caller at a time; programs are shared, runners are not.
#pragma once

#include "program.h"
#include "workers.h"

namespace mobilenet {

class Runner {
 public:
  explicit Runner(int threads) : threads_(threads), workers_(threads) {}

  // Makes room for `program`: the only allocation, and none if the arena is large enough already.
  void prepare(const Program& program);

  // Takes arena_needed(program) bytes of the caller's for the arena, and starts the threads: nothing is allocated from then on.
  void prepare(const Program& program, void* arena);
  static std::size_t arena_needed(const Program& program);  // with room to find a cache line's boundary

  // `image` is (3, height, width); `outputs` are planar, of the shapes that the program declares, bytes only where it has them. The time
  // of each label on thread 0 is added to `seconds`, unless it is null.
  void run(const Program& program, const float* image, const OutputPlace* outputs, double* seconds);

  // The same of an image's pixels, 3 bytes each, looked up in (3, 256) levels. The program's image must not be read by a stem.
  void run_pixels(const Program& program, const std::uint8_t* pixels, const float* levels, const OutputPlace* outputs);

  int threads() const { return threads_; }
  std::size_t arena_bytes() const { return arena_.bytes(); }

 private:
  void run(const struct Run& run, double* seconds);

  const int threads_;
  Workers workers_;
  Memory arena_;
};

}  // namespace mobilenet
