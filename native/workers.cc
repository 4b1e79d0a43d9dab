#include "workers.h"

namespace mobilenet {
namespace {

// Checks (of some 10 nanoseconds) before a waiter inside a run offers its core to others: past any stage's imbalance, for
// on a busy machine the core comes back milliseconds later. And before an idle worker sleeps.
constexpr int kSpins = 50000, kIdleSpins = 20000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
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
};

Workers::Workers(int threads) : threads_(threads) {}

Workers::~Workers() {
  if (!pool_) return;
  if (owner_ != getpid()) {
    (void)pool_.release();  // a forked child: the threads are not here, their handles must not be touched
    return;
  }
  pool_->stop = true;
  pool_->post();
  for (std::thread& thread : pool_->threads) thread.join();
}

void Workers::start() {
  (void)pool_.release();
  pool_ = std::make_unique<Pool>();
  owner_ = getpid();
  arrived_ = 0;
  for (int thread = 1; thread < threads_; ++thread)
    pool_->threads.emplace_back([pool = pool_.get(), thread] { pool->work(thread); });
}

void Workers::run(Task task, void* context) {
  if (threads_ == 1) return task(context, 0);
  if (owner_ != getpid()) start();
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

}  // namespace mobilenet
