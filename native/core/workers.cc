#include "workers.h"

#include <stdexcept>
#include <string>

#include "../base/failure.h"

#ifndef MOBILENET_NO_THREADS
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#endif

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace mobilenet {

void Workers::run_alone(Task task, void* context, int stages) const {
  for (int stage = 0; stage < stages; ++stage)
    for (int part = 0; part < threads_; ++part) task(context, stage, part, 0);
}

#ifdef MOBILENET_NO_THREADS

struct Workers::Pool {};

Workers::Workers(int threads) : threads_(threads) {
  if (threads != 1) fail_argument("threads " + decimal(threads) + ": this build has 1");
}
Workers::~Workers() = default;
void Workers::run(Task task, void* context, int stages) { run_alone(task, context, stages); }
void Workers::ready() {}

#else

namespace {

constexpr int kIdleSpins = 20000;  // checks (of some 10 to 70 nanoseconds) before an idle worker sleeps
constexpr int kSpins = 16;         // checks before a waiter looks at anything else

// In seconds. A waiter gives a thread as long to begin its part as its own part took, and at least kPatience. One that waits
// for a part which was begun sleeps for a moment after kLong: the system may then give this core to that part's thread.
constexpr double kPatience = 20e-6, kLong = 300e-6;
constexpr auto kNap = std::chrono::microseconds(50);

// Whether the threads gain anything is judged after kTrial seconds of work, within which the system finds cores for them. After
// a loss the caller works alone for kMinAlone to kMaxAlone times as long as was lost, then there is another trial.
constexpr double kTrial = 0.1, kLoss = 0.1, kMinAlone = 4, kMaxAlone = 16;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Processor time of this thread, in seconds: without the time in which another program had its core.
double processor_time() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec time{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0)
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
#endif
  return now();
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
  using Count = std::uint64_t;  // of stages since the pool was made; the one under way is the number of those done

  // On cache lines of their own: only its thread writes them as long as nobody is late, and waiting threads read `absent` only.
  struct Part {
    std::atomic<Count> begun{0};  // stages of which somebody has begun this part
    char apart[120];
    std::atomic<bool> absent{false};  // another thread had to begin it
    char apart_too[127];
  };

  std::vector<Part> parts;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<Count> stage{0};  // the stage under way
  std::atomic<Count> end{0};    // the first stage that has not been asked for
  std::atomic<int> left{0};     // parts of the stage under way that are not done
  std::atomic<bool> stop{false};
  Task task = nullptr;  // these three are read by whoever has begun a part: the job then lasts until it is done
  void* context = nullptr;
  Count first = 0;  // the job's first stage

  explicit Pool(int count) : parts(count), left(count) {}

  bool idle() const { return stage.load(std::memory_order_acquire) == end.load(std::memory_order_acquire); }
  bool over(Count current) const { return stage.load(std::memory_order_acquire) != current; }

  // Does a part of the stage `current`; 0 if somebody has begun it before, else 1.
  int take(Count current, int part, int thread) {
    Count expected = current;  // looked at before it is tried: a trial takes the line from the core that owns it
    if (parts[part].begun.load(std::memory_order_relaxed) != current ||
        !parts[part].begun.compare_exchange_strong(expected, current + 1, std::memory_order_acq_rel))
      return 0;
    if (parts[part].absent.load(std::memory_order_relaxed) != (part != thread))
      parts[part].absent.store(part != thread, std::memory_order_relaxed);
    task(context, static_cast<int>(current - first), part, thread);
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      left.store(static_cast<int>(parts.size()), std::memory_order_relaxed);
      stage.store(current + 1, std::memory_order_release);
    }
    return 1;
  }

  // Does the parts of other threads that nobody has begun, or only those of threads that were late before. How many.
  int take_others(Count current, int thread, bool only_absent) {
    int taken = 0;
    const int count = static_cast<int>(parts.size());
    for (int i = 1; i < count && !over(current); ++i) {
      const int part = (thread + i) % count;
      if (!only_absent || parts[part].absent.load(std::memory_order_relaxed)) taken += take(current, part, thread);
    }
    return taken;
  }

  // What a thread has done in a job.
  struct Share {
    int parts = 0;
    double spun = 0;  // seconds of waiting without sleep
  };

  // Takes part in one stage until it is done.
  void join(Count current, int thread, Share& share) {
    const double start = now();
    share.parts += take(current, thread, thread);
    for (int i = 0; i < kSpins; ++i) {
      if (over(current)) return;
      relax();
    }
    share.parts += take_others(current, thread, true);
    double since = now();
    const double patience = std::clamp(since - start, kPatience, kLong);
    while (!over(current) && now() < since + patience) relax();
    share.spun += now() - since;
    if (over(current)) return;
    share.parts += take_others(current, thread, false);
    since = now();
    while (!over(current) && now() < since + kLong) relax();
    share.spun += now() - since;
    while (!over(current)) std::this_thread::sleep_for(kNap);
  }

  // A worker's life.
  void work(int thread) {
    Share share;
    while (!stop.load(std::memory_order_acquire)) {
      for (int i = 0; i < kIdleSpins && idle(); ++i) relax();
      if (idle()) {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return !idle() || stop.load(std::memory_order_acquire); });
      }
      for (Count current; (current = stage.load(std::memory_order_acquire)) != end.load(std::memory_order_acquire);)
        join(current, thread, share);
    }
  }

  // The caller's share of a job.
  Share lead(Task job, void* jobs_context, int stages) {
    task = job, context = jobs_context, first = stage.load(std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex);
      end.store(first + stages, std::memory_order_release);
    }
    wake.notify_all();
    Share share;
    for (Count current = first; current < first + stages; ++current) join(current, 0, share);
    return share;
  }

  // Ends all threads.
  void close() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stop.store(true, std::memory_order_release);
    }
    wake.notify_all();
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
  auto pool = std::make_unique<Pool>(threads_);
  pool->threads.reserve(threads_ - 1);
  for (int thread = 1; thread < threads_; ++thread) {
    try {
      pool->threads.emplace_back([pool = pool.get(), thread] { pool->work(thread); });
    } catch (const std::system_error& error) {
      pool->close();
      throw std::runtime_error("thread " + decimal(thread + 1) + " of " + decimal(threads_) +
                               " cannot be started: " + error.what() + "; use fewer threads");
    } catch (...) {  // no memory for a thread's handle
      pool->close();
      throw;
    }
  }
  pool_ = std::move(pool);
  owner_ = process_id();
}

void Workers::ready() {
  if (threads_ > 1 && (!pool_ || owner_ != process_id())) start();
}

void Workers::run(Task task, void* context, int stages) {
  if (threads_ == 1) return run_alone(task, context, stages);
  const double start = now();
  if (alone_left_ > 0) {
    run_alone(task, context, stages);
    alone_left_ -= now() - start;
    return;
  }
  ready();
  const double before = processor_time();
  const Pool::Share share = pool_->lead(task, context, stages);
  if (share.parts == 0) return;
  const double worked = std::max(processor_time() - before - share.spun, 0.0), taken = now() - start;
  const double alone = worked * threads_ * stages / share.parts;  // what the caller would have taken
  together_ += taken;
  gain_ += alone - taken;
  if (together_ < kTrial) return;
  alone_ = gain_ < -kLoss * together_ ? std::clamp(2 * alone_, -gain_ * kMinAlone, -gain_ * kMaxAlone) : 0;
  alone_left_ = alone_;
  together_ = gain_ = 0;
}

#endif

}  // namespace mobilenet
