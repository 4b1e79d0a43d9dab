#include "workers.h"

#include <stdexcept>
#include <string>

#ifndef MOBILENET_NO_THREADS
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#endif

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace mobilenet {

#ifdef MOBILENET_NO_THREADS

struct Workers::Pool {};

Workers::Workers(int threads) : threads_(threads) {
  if (threads != 1) throw std::invalid_argument("threads " + std::to_string(threads) + ": this build has 1");
}
Workers::~Workers() = default;
void Workers::run(Task task, void* context) { task(context, 0); }
void Workers::barrier() {}

#else

namespace {

// Checks (of some 10 nanoseconds) before a waiter inside a run offers its core to others. More than any stage's imbalance
// takes: on a busy machine the core comes back milliseconds later.
constexpr int kSpins = 50000;
constexpr int kIdleSpins = 20000;  // before an idle worker sleeps

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Differs between a process and its forked children.
long process_id() {
#if defined(__unix__) || defined(__APPLE__)
  return getpid();
#else
  return 1;
#endif
}

}  // namespace

struct Workers::Pool {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<unsigned> job{0};  // counts runs; a worker waits for the next number
  std::atomic<int> running{0};
  bool stop = false;
  Task task = nullptr;
  void* context = nullptr;

  void work(int thread) {
    for (unsigned done = 0;; ++done) {
      for (int i = 0; i < kIdleSpins && job.load(std::memory_order_acquire) == done; ++i) relax();
      if (job.load(std::memory_order_acquire) == done) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return job.load(std::memory_order_acquire) != done; });
      }
      if (stop) return;
      task(context, thread);
      running.fetch_sub(1, std::memory_order_release);
    }
  }

  void post() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      job.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
  }

  // Ends all threads.
  void close() {
    stop = true;
    post();
    for (std::thread& thread : threads) thread.join();
  }
};

Workers::Workers(int threads) : threads_(threads) {}

Workers::~Workers() {
  if (!pool_) return;
  if (owner_ == process_id())
    pool_->close();
  else
    (void)pool_.release();  // in a forked child: the threads are not here, and their handles must not be touched
}

void Workers::start() {
  (void)pool_.release();  // a forked child's copy of its parent's, or none
  auto pool = std::make_unique<Pool>();
  pool->threads.reserve(threads_ - 1);
  for (int thread = 1; thread < threads_; ++thread) {
    try {
      pool->threads.emplace_back([pool = pool.get(), thread] { pool->work(thread); });
    } catch (const std::system_error& error) {
      pool->close();
      throw std::runtime_error("thread " + std::to_string(thread + 1) + " of " + std::to_string(threads_) +
                               " cannot be started: " + error.what() + "; use fewer threads");
    } catch (...) {  // no memory for a thread's handle
      pool->close();
      throw;
    }
  }
  arrived_ = 0;
  pool_ = std::move(pool);
  owner_ = process_id();
}

void Workers::run(Task task, void* context) {
  if (threads_ == 1) return task(context, 0);
  if (!pool_ || owner_ != process_id()) start();
  pool_->task = task;
  pool_->context = context;
  pool_->running.store(threads_ - 1, std::memory_order_relaxed);
  pool_->post();
  task(context, 0);
  for (int i = 0; pool_->running.load(std::memory_order_acquire) > 0; ++i)
    i < kSpins ? relax() : std::this_thread::yield();
}

void Workers::barrier() {
  if (threads_ == 1) return;
  const int phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int i = 0; phase_.load(std::memory_order_acquire) == phase; ++i) i < kSpins ? relax() : std::this_thread::yield();
}

#endif

}  // namespace mobilenet
