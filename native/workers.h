// A handful of threads that work through stages together, and sleep between times.
//
// A stage is as many parts as there are threads, and begins when every part of the one before is done. Each thread takes its
// own part first, whose data its core knows, and then whatever nobody has begun: where other programs take a core away, the
// threads that are at work go on with all of it, and wait only for what an absent one has begun.
//
// A worker that has nothing to do spins for a moment (the next picture often follows at once) and then sleeps on a
// condition variable. Threads do not survive a fork: in a child process the pool notices at its next `run` and starts
// workers of its own. Only the thread that calls `run` may be inside it; a pool belongs to one runner.
#pragma once

#include <memory>

#include <unistd.h>

namespace mobilenet {

class Workers {
 public:
  // `thread` runs the part; 0 is the one that called `run`.
  using Task = void (*)(void* context, int stage, int part, int thread);

  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Calls task(context, stage, part, thread) for every part, 0 .. threads - 1, of stages 0 .. stages - 1, and waits for all.
  void run(Task task, void* context, int stages);

 private:
  struct Pool;
  void start();

  const int threads_;
  std::unique_ptr<Pool> pool_;  // threads and what they share; left behind in a forked child
  pid_t owner_ = 0;
};

}  // namespace mobilenet
