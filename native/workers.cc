#include "workers.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace mobilenet {
namespace {

// Checks (of some 10 nanoseconds) before a thread looks for parts that nobody has begun: where all are at work there are none,
// and looking disturbs them. Before one that waits for another's part offers its core to others: past any part's length, for
// on a busy machine the core comes back milliseconds later. And before an idle worker sleeps.
constexpr int kMoment = 100, kSpins = 50000, kIdleSpins = 20000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

// Stages are counted on from run to run, so that a worker that was away for a while finds nothing left of an older one: it
// takes a part by moving the part's own count from the stage under way to the next, and only then looks at the job.
struct Workers::Pool {
  struct alignas(64) Part {
    std::atomic<std::uint64_t> taken{0};  // first stage whose part nobody has begun
  };

  explicit Pool(int count) : parts(count), left(count) {}

  std::vector<std::thread> threads;
  std::vector<Part> parts;
  alignas(64) std::atomic<std::uint64_t> stage{0};  // under way, of
  std::atomic<std::uint64_t> end{0};                // those there are; equal between runs
  alignas(64) std::atomic<int> left;                // parts of the stage that are not done
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<bool> stop{false};
  Task task = nullptr;  // of the run under way, as the next two: written between runs
  void* context = nullptr;
  std::uint64_t base = 0;

  bool idle() const { return stage.load(std::memory_order_acquire) == end.load(std::memory_order_acquire); }

  // Does a part of the stage `now`; false where somebody else has begun it.
  bool take(std::uint64_t now, int part, int thread) {
    std::uint64_t expected = now;  // looked at before it is tried: a trial takes the line from the core that owns it
    if (parts[part].taken.load(std::memory_order_relaxed) != now ||
        !parts[part].taken.compare_exchange_strong(expected, now + 1, std::memory_order_acq_rel))
      return false;
    task(context, static_cast<int>(now - base), part, thread);
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      left.store(static_cast<int>(parts.size()), std::memory_order_relaxed);
      stage.store(now + 1, std::memory_order_release);
    }
    return true;
  }

  bool over(std::uint64_t now) const { return stage.load(std::memory_order_acquire) != now; }

  // Takes part in the run under way, to its end: a thread's own part, in a moment those of others, then waiting.
  void join(int thread) {
    const int count = static_cast<int>(parts.size());
    for (std::uint64_t now; (now = stage.load(std::memory_order_acquire)) != end.load(std::memory_order_acquire);) {
      take(now, thread, thread);
      for (int i = 0; i < kMoment && !over(now); ++i) relax();
      for (int i = 1; i < count && !over(now); ++i) take(now, (thread + i) % count, thread);
      for (int i = 0; !over(now); ++i) i < kSpins ? relax() : std::this_thread::yield();
    }
  }

  void work(int thread) {
    while (!stop.load(std::memory_order_acquire)) {
      for (int i = 0; i < kIdleSpins && idle() && !stop.load(std::memory_order_relaxed); ++i) relax();
      if (idle()) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return stop.load(std::memory_order_acquire) || !idle(); });
      }
      join(thread);
    }
  }

  void rouse() {
    { std::lock_guard<std::mutex> lock(mutex); }  // whoever found nothing to do is asleep by now, and hears
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
  pool_->stop.store(true, std::memory_order_release);
  pool_->rouse();
  for (std::thread& thread : pool_->threads) thread.join();
}

void Workers::start() {
  (void)pool_.release();
  pool_ = std::make_unique<Pool>(threads_);
  owner_ = getpid();
  for (int thread = 1; thread < threads_; ++thread)
    pool_->threads.emplace_back([pool = pool_.get(), thread] { pool->work(thread); });
}

void Workers::run(Task task, void* context, int stages) {
  if (threads_ == 1) {
    for (int stage = 0; stage < stages; ++stage) task(context, stage, 0, 0);
    return;
  }
  if (owner_ != getpid()) start();
  Pool& pool = *pool_;
  pool.task = task;
  pool.context = context;
  pool.base = pool.end.load(std::memory_order_relaxed);
  pool.end.store(pool.base + stages, std::memory_order_release);
  pool.rouse();
  pool.join(0);
}

}  // namespace mobilenet
