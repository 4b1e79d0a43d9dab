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

  // `image` is (3, height, width); `outputs` are planar, of the shapes that the program declares, bytes only where it has them. The time
  // of each label on thread 0 is added to `seconds`, unless it is null.
  void run(const Program& program, const float* image, const OutputPlace* outputs, double* seconds);

  int threads() const { return threads_; }
  std::size_t arena_bytes() const { return arena_.bytes(); }

 private:
  const int threads_;
  Workers workers_;
  Memory arena_;
};

}  // namespace mobilenet
