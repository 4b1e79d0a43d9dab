// A handful of threads that run one function together, and sleep between times.
//
// A worker that has nothing to do spins for a moment (the next picture often follows at once) and then sleeps on a
// condition variable. Threads do not survive a fork: in a child process the pool notices at its next `run` and starts
// workers of its own. Only the thread that calls `run` may be inside it; a pool belongs to one runner.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <unistd.h>

namespace mobilenet {

class Workers {
 public:
  using Task = void (*)(void* context, int thread);

  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Calls task(context, 0 .. threads - 1), number 0 on the caller's thread, and waits for all of them.
  void run(Task task, void* context);

  // Inside a task: waits until all threads are here.
  void barrier();

 private:
  struct Pool;
  void start();

  const int threads_;
  std::unique_ptr<Pool> pool_;  // threads and what they wait on; left behind in a forked child
  pid_t owner_ = 0;
  std::atomic<int> arrived_{0}, phase_{0};
};

}  // namespace mobilenet
