// A handful of threads that do one job together, and sleep between jobs.
//
// A job is a sequence of stages, a stage has one part for each thread, and no stage begins before the one before it is done.
// Each thread does its own part. A thread whose core is taken by another program comes late: the others wait a bounded time
// for it to begin its part, then one of them does it, and the late thread goes on to the next stage. A part that has been begun
// cannot be taken over; if waiting for such parts costs more than the threads gain, the caller works alone for a while.
//
// An idle worker spins for a moment (the next image often follows at once) and then sleeps on a condition variable.
// Threads do not survive a fork: in a child process the pool notices at its next `run` and starts workers of its own.
// Only the thread that calls `run` may be inside it; a pool belongs to one runner.
//
// Built with MOBILENET_NO_THREADS (WebAssembly without threads) there is one thread only.
#pragma once

#include <memory>

namespace mobilenet {

class Workers {
 public:
  // Does `part` of `stage` on `thread`; the caller of `run` is thread 0.
  using Task = void (*)(void* context, int stage, int part, int thread);

  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Starts the threads now and not in the first `run`. Throws as `run` does.
  void ready();

  // Calls `task` once for each of `threads` parts of each stage, and returns when all is done.
  // Throws std::runtime_error if a thread cannot be started; the pool is then as before the call, and `run` may be tried
  // again.
  void run(Task task, void* context, int stages);

 private:
  struct Pool;
  void start();
  void run_alone(Task task, void* context, int stages) const;

  const int threads_;
  std::unique_ptr<Pool> pool_;  // the threads and what they wait on; a forked child abandons its parent's
  long owner_ = 0;              // the process that started the threads
  // Seconds: of this trial's work together, what it has gained, how long the caller last worked alone, how much of it is left.
  double together_ = 0, gain_ = 0, alone_ = 0, alone_left_ = 0;
};

}  // namespace mobilenet
