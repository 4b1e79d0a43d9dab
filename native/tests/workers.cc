// The pool under load, in a forked child, and when a thread cannot be started.
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

struct Counter {
  Workers& workers;
  std::vector<int> rounds;
};

void count_rounds(void* context, int thread) {
  Counter& c = *static_cast<Counter*>(context);
  for (int i = 0; i < 10; ++i) {
    c.rounds[thread]++;
    c.workers.barrier();
    for (int r : c.rounds) check(r == c.rounds[thread], "all threads are in the same round");
    c.workers.barrier();
  }
}

void pool(int threads) {
  Workers workers(threads);
  Counter counter{workers, std::vector<int>(threads)};
  for (int i = 0; i < 100; ++i) {
    workers.run(count_rounds, &counter);
    if (i % 25 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // long enough to fall asleep
  }
  for (int r : counter.rounds) check(r == 1000, "every thread did every round");
#ifdef MOBILENET_FORK
  const pid_t child = fork();
  if (child == 0) {
    workers.run(count_rounds, &counter);
    _exit(counter.rounds[threads - 1] == 1010 ? 0 : 1);
  }
  int status = 0;
  check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's pool works");
#endif
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
  Counter counter{workers, std::vector<int>(kThreads)};
  const rlimit before = limit_of(RLIMIT_AS), stack = limit_of(RLIMIT_STACK);
  const rlimit tight{address_space() + 2 * stack.rlim_cur + (1 << 20), before.rlim_max};
  setrlimit(RLIMIT_AS, &tight);
  for (int attempt = 0; attempt < 2; ++attempt) {
    bool refused = false;
    try {
      workers.run(count_rounds, &counter);
    } catch (const std::runtime_error&) {
      refused = true;
    }
    check(refused, "a pool whose threads cannot start says so");
  }
  setrlimit(RLIMIT_AS, &before);
  workers.run(count_rounds, &counter);
  for (int r : counter.rounds) check(r == 10, "the pool works once threads can start");
}
#else
void threads_that_cannot_start() {}  // sanitizers need more address space than can be limited
#endif

}  // namespace

int main() {
  threads_that_cannot_start();
  for (int threads : {1, 2, 4}) pool(threads);
}
