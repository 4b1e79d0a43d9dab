// The pool under load, with threads that come late, in a forked child, and when a thread cannot be started.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "../core/workers.h"
#include "support.h"

#if defined(__unix__) && !defined(MOBILENET_NO_FORK)  // qemu-user cannot fork threads
#define MOBILENET_FORK
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

using namespace mobilenet;

using Clock = std::chrono::steady_clock;
constexpr int kStages = 10;

// Counts who did what; each part of a stage sees every part of the stage before it done.
struct Counter {
  explicit Counter(int threads) : parts(threads), done(kStages) {}

  const int parts;
  std::vector<std::atomic<int>> done;  // parts, by stage
  std::atomic<int> by_others{0}, by_caller{0};
  std::chrono::microseconds own{0}, others{0};  // how long a part lasts: the caller's own, another one on its own thread

  void job(Workers& workers) {
    for (auto& count : done) count = 0;
    by_others = by_caller = 0;
    workers.run(count_part, this, kStages);
    for (auto& count : done) check(count == parts, "every part is done once");
  }

  static void count_part(void* context, int stage, int part, int thread) {
    Counter& c = *static_cast<Counter*>(context);
    check(stage == 0 || c.done[stage - 1] == c.parts, "a stage begins when the one before it is done");
    const auto length = part == 0 ? c.own : thread == part ? c.others : std::chrono::microseconds{0};
    for (const auto start = Clock::now(); Clock::now() < start + length;) std::this_thread::yield();
    if (thread != part) ++c.by_others;
    if (thread == 0) ++c.by_caller;
    ++c.done[stage];
  }
};

void pool(int threads) {
  Workers workers(threads);
  Counter counter(threads);
  int late = 0;
  for (int i = 0; i < 300; ++i) {
    counter.job(workers);
    late += counter.by_others;
    if (i % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(4));  // long enough to fall asleep
  }
  check(threads == 1 || late > 0, "parts of threads that wake late are done by others");
#ifdef MOBILENET_FORK
  const pid_t child = fork();
  if (child == 0) {
    counter.job(workers);
    _exit(0);
  }
  int status = 0;
  check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's pool works");
#endif
}

// Calls `job` until it returns true `times` times running.
template <class Job>
void until(int times, const std::string& what, Job job) {
  const auto end = Clock::now() + std::chrono::seconds(30);
  for (int row = 0; row < times; row = job() ? row + 1 : 0) check(Clock::now() < end, what);
}

// Threads that hold the caller up are left alone for a while, and tried again.
void losses() {
  Workers workers(2);
  Counter counter(2);
  counter.others = std::chrono::microseconds(2000);
  until(1, "the thread does parts", [&] { return counter.job(workers), counter.by_caller < 2 * kStages; });
  until(20, "after losses the caller works alone", [&] { return counter.job(workers), counter.by_caller == 2 * kStages; });
  counter.own = counter.others = std::chrono::microseconds(200);
  until(1, "the threads are tried again", [&] { return counter.job(workers), counter.by_caller < 2 * kStages; });
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Bytes of address space that this process uses.
std::size_t address_space() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long pages = 0;
  check(file && std::fscanf(file, "%lu", &pages) == 1, "/proc/self/statm can be read");
  std::fclose(file);
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

rlimit limit_of(int resource) {
  rlimit limit{};
  getrlimit(resource, &limit);
  return limit;
}

// With address space for two stacks only, not all threads can start: `run` throws, each time, and works once they can.
// This must be the first test: later ones find stacks that ended threads have left.
void threads_that_cannot_start() {
  constexpr int kThreads = 6;
  Workers workers(kThreads);
  Counter counter(kThreads);
  const rlimit before = limit_of(RLIMIT_AS), stack = limit_of(RLIMIT_STACK);
  const rlimit tight{address_space() + 2 * stack.rlim_cur + (1 << 20), before.rlim_max};
  setrlimit(RLIMIT_AS, &tight);
  for (int attempt = 0; attempt < 2; ++attempt) {
    bool refused = false;
    try {
      counter.job(workers);
    } catch (const std::runtime_error&) {
      refused = true;
    }
    check(refused, "a pool whose threads cannot start says so");
  }
  setrlimit(RLIMIT_AS, &before);
  counter.job(workers);
}
#else
void threads_that_cannot_start() {}  // sanitizers need more address space than can be limited
#endif

}  // namespace

int main() {
  threads_that_cannot_start();
  for (int threads : {1, 2, 4}) pool(threads);
  losses();
}
