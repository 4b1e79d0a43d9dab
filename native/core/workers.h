// A handful of threads that run one function together, and sleep between runs.
//
// An idle worker spins for a moment (the next image often follows at once) and then sleeps on a condition variable.
// Threads do not survive a fork: in a child process the pool notices at its next `run` and starts workers of its own.
// Only the thread that calls `run` may be inside it; a pool belongs to one runner.
//
// Built with MOBILENET_NO_THREADS (WebAssembly without threads) there is one thread only.
#pragma once

#include <atomic>
#include <memory>

namespace mobilenet {

class Workers {
 public:
  using Task = void (*)(void* context, int thread);

  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // Calls task(context, 0 .. threads - 1), number 0 on the caller's thread, and waits for all of them.
  // Throws std::runtime_error if a thread cannot be started; the pool is then as before the call, and `run` may be tried
  // again.
  void run(Task task, void* context);

  // Inside a task: waits until all threads are here.
  void barrier();

 private:
  struct Pool;
  void start();

  const int threads_;
  std::unique_ptr<Pool> pool_;  // the threads and what they wait on; a forked child abandons its parent's
  long owner_ = 0;              // the process that started the threads
  std::atomic<int> arrived_{0}, phase_{0};
};

}  // namespace mobilenet
