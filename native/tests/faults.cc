// Fails the k-th allocation or thread start of loading, preparing and running a program, in float32 and in integers, for every
// k: one exception, nothing hangs or leaks, and the same runner then gives the right bits. The same for resizing an image, for
// making boxes and masks of outputs, for drawing masks, and for the C interface on the models in the folders that are given.
#include <atomic>
#include <cerrno>
#include <memory>
#include <new>

#include "../core/detections.h"
#include "../core/mask.h"
#include "../core/resample.h"
#include "../core/tint.h"
#include "mobilenet.h"
#include "net.h"

#ifdef INJECT  // sanitizers have allocators and threads of their own
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

std::atomic<long> countdown{-1};  // calls until one fails; negative: none fails
std::atomic<long> live{0};        // allocations by `new` that have not been freed

bool fails() {
  long left = countdown.load();
  while (left >= 0 && !countdown.compare_exchange_weak(left, left - 1)) {
  }
  return left == 0;
}

void* allocated(std::size_t bytes) {
  void* place = fails() ? nullptr : std::malloc(bytes ? bytes : 1);
  if (!place) throw std::bad_alloc();
  ++live;
  return place;
}

void freed(void* place) {
  if (place) --live;
  std::free(place);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocated(bytes); }
void* operator new[](std::size_t bytes) { return allocated(bytes); }
void operator delete(void* place) noexcept { freed(place); }
void operator delete[](void* place) noexcept { freed(place); }
void operator delete(void* place, std::size_t) noexcept { freed(place); }
void operator delete[](void* place, std::size_t) noexcept { freed(place); }

extern "C" {

void* __real_calloc(std::size_t count, std::size_t size);
void* __wrap_calloc(std::size_t count, std::size_t size) { return fails() ? nullptr : __real_calloc(count, size); }

void* __real_mmap(void* place, std::size_t bytes, int protection, int flags, int file, off_t offset);
void* __wrap_mmap(void* place, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  return fails() ? MAP_FAILED : __real_mmap(place, bytes, protection, flags, file, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create real = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return fails() ? EAGAIN : real(thread, attributes, start, argument);
}

}  // extern "C"

namespace {

using namespace mobilenet;

// Calls `work` with its k-th allocation or thread start failing, for k from 0 until none fails; `after` follows each failure.
template <class Work, class After>
long every_failure(Work work, After after) {
  for (long k = 0;; ++k) {
    const long before = live;
    countdown = k;
    bool refused = false;
    try {
      work();
    } catch (const std::bad_alloc&) {
      refused = true;
    } catch (const std::runtime_error&) {
      refused = true;
    }
    const bool injected = countdown.exchange(-1) < 0;
    check(refused == injected, "a failure is an exception, and there is no other exception");
    after();
    const long left_behind = live - before;
    check(left_behind <= 0,
          "failure " + std::to_string(k) + " leaves " + std::to_string(left_behind) + " allocations behind");
    if (!injected) return k;
  }
}

template <class Network>
void faults(const Kernels& kernels, const char* numbers) {
  constexpr int kSide = 7, kThreads = 3;
  const std::vector<float> image = noise(3 * kSide * kSide, 11);
  std::vector<float> expected(40);
  const mobilenet::OutputPlace places[] = {{expected.data()}};
  const Network net(kernels);
  {
    const Program program = net.program(kernels, 1, kSide);
    Runner runner(1);
    runner.prepare(program);
    runner.run(program, image.data(), places, nullptr);
  }
  long total = every_failure(
      [&] {
        const Network another(kernels);
        const Program program = another.program(kernels, kThreads, kSide);
      },
      [] {});
  const Program program = net.program(kernels, kThreads, kSide);
  std::vector<float> result(40);
  const mobilenet::OutputPlace outputs[] = {{result.data()}};
  std::unique_ptr<Runner> runner;
  total += every_failure(
      [&] {
        runner.reset();  // in its place: a runner of the failure before has been used by `after`
        runner = std::make_unique<Runner>(kThreads);
        runner->prepare(program);
        runner->run(program, image.data(), outputs, nullptr);
        runner.reset();
      },
      [&] {
        if (!runner) runner = std::make_unique<Runner>(kThreads);
        for (int i = 0; i < 2; ++i) {
          std::fill(result.begin(), result.end(), 0.0f);
          runner->prepare(program);
          runner->run(program, image.data(), outputs, nullptr);
          check(std::memcmp(result.data(), expected.data(), 40 * sizeof(float)) == 0, "the next call is right");
        }
        runner.reset();
      });
  std::printf("%s, %s: %ld failures injected, all clean\n", kernels.name, numbers, total);
}

// `work` returns its result as bytes: after every failure the next call gives the same.
template <class Work>
long every_failure_of(Work work) {
  const std::vector<std::uint8_t> expected = work();
  return every_failure([&] { work(); }, [&] { check(work() == expected, "the next call is right"); });
}

template <class T>
std::vector<std::uint8_t> bytes_of(const std::vector<T>& values) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
  return {first, first + values.size() * sizeof(T)};
}

void images_and_answers(const Kernels& kernels) {
  const std::vector<float> levels = noise(3 * 256, 1), scores = noise(5 * 6 * 7, 2), logits = noise(2 * 3 * 30, 3),
                           codes = noise(2 * 4 * 30, 4);
  const std::vector<std::uint8_t> pixels(40 * 30 * 4, 77);
  const std::vector<double> defaults(4 * 60, 0.5);
  long total = 0;
  for (const bool down_first : {false, true})
    total += every_failure_of([&] {
      const Geometry geometry{{40, 30}, {0, 0}, {40, 30}, {0, 0, 40, 30}, {20, 16}, {2, 1}, {14, 14}, down_first, 0};
      std::vector<float> target(3 * 14 * 14);
      Resampler resampler(geometry, Filter::kBicubic, levels.data(), target.data(), kernels);
      resampler.feed(pixels.data(), 0, 30);
      return bytes_of(target);
    });
  const std::vector<std::uint8_t> score_bytes = bytes_of(scores);
  for (const bool in_bytes : {false, true})
    total += every_failure_of([&] {
      const Scores all{.values = in_bytes ? nullptr : scores.data(), .bytes = in_bytes ? score_bytes.data() : nullptr,
                       .zero = 9, .scale = 0.1f, .classes = 5, .plane = 42, .pitch = 7, .width = 7, .height = 6, .logits = true};
      std::vector<std::uint8_t> won(42), mask(30 * 40);
      std::vector<double> sums(5);
      std::vector<std::int64_t> counts(5);
      check(winners(all, won.data(), sums.data(), counts.data()), "finite scores");
      enlarge(all, won.data(), places(6, 30), places(7, 40), mask.data());
      return mask;
    });
  for (const bool softmax : {false, true})
    total += every_failure_of([&] {
      const Reading reading{.slots = 3, .softmax = softmax, .yxhw = true, .threshold = 0.3f, .iou = 0.5f, .most = 20,
                            .candidates = 9, .width = 30, .height = 20, .window = {0, 0, 30, 20}};
      std::vector<Box> boxes;
      std::vector<std::int64_t> rows;
      for (const Candidate& found : detect({{logits.data(), codes.data(), 30, 2}}, defaults.data(), reading, boxes))
        rows.push_back(found.row);
      check(!rows.empty(), "something is found");
      return bytes_of(rows);
    });
  total += every_failure_of([&] {
    const std::vector<std::uint8_t> opacity(20 * 15, 99), classes(10 * 8, 3), colors(3 * 256, 200);
    std::vector<std::uint8_t> target(pixels.size());
    lay({opacity.data(), 20, 2, classes.data(), 10, 4, colors.data()}, pixels.data(), 40, 30, target.data());
    return target;
  });
  std::printf("%s, images and answers: %ld failures injected, all clean\n", kernels.name, total);
}

std::vector<std::uint8_t> file(const std::string& path) {
  std::FILE* const opened = std::fopen(path.c_str(), "rb");
  check(opened != nullptr, path + " can be read");
  std::vector<std::uint8_t> bytes(1 << 24);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), opened));
  std::fclose(opened);
  return bytes;
}

void allowed(mobilenet_status status) {
  if (status == MOBILENET_NO_MEMORY || status == MOBILENET_NO_THREAD) throw std::bad_alloc();
  check(status == MOBILENET_OK, std::string("nothing but memory and threads is missing: ") + mobilenet_message());
}

// A model is loaded, an image prepared and run. `weights` stand at a multiple of 64.
std::vector<std::uint8_t> run_interface(const std::vector<std::uint8_t>& program, const void* weights, std::size_t weights_bytes) {
  struct Loaded {
    mobilenet_model* model = nullptr;
    mobilenet_runner* runner = nullptr;
    ~Loaded() { mobilenet_runner_free(runner), mobilenet_free(model); }
  } loaded;
  allowed(mobilenet_load(program.data(), program.size(), weights, weights_bytes, &loaded.model));
  mobilenet_info info;
  mobilenet_describe(loaded.model, &info);
  const std::size_t pixels = static_cast<std::size_t>(info.width) * info.height;
  const std::vector<std::uint8_t> image(3 * pixels, 99);
  std::vector<float> input(3 * pixels), values;
  allowed(mobilenet_prepare(loaded.model, image.data(), info.width, info.height, 3, 3 * static_cast<std::size_t>(info.width), input.data()));
  std::vector<std::size_t> sizes;
  std::size_t sum = 0;
  for (int i = 0; i < info.num_outputs; ++i) {
    mobilenet_output output;
    allowed(mobilenet_describe_output(loaded.model, i, &output));
    sizes.push_back(static_cast<std::size_t>(output.channels) * output.height * output.width), sum += sizes.back();
  }
  values.resize(sum);
  std::vector<float*> outputs;
  for (std::size_t i = 0, at = 0; i < sizes.size(); at += sizes[i++]) outputs.push_back(values.data() + at);
  allowed(mobilenet_runner_new(loaded.model, nullptr, 0, &loaded.runner));
  allowed(mobilenet_run(loaded.runner, input.data(), outputs.data()));
  return bytes_of(values);
}

void interface_faults(const std::string& folder) {
  const std::vector<std::uint8_t> program = file(folder + "/model.program"), weights = file(folder + "/model.weights");
  std::vector<std::uint8_t> room(weights.size() + 64);
  void* place = room.data();
  std::size_t space = room.size();
  check(std::align(64, weights.size(), place, space) != nullptr, "there is room");
  std::memcpy(place, weights.data(), weights.size());
  const long total = every_failure_of([&] { return run_interface(program, place, weights.size()); });
  std::printf("%s: %ld failures injected, all clean\n", folder.c_str(), total);
}

}  // namespace

int main(int count, char** arguments) {
  alarm(100);  // a hang ends the test
  for (int i = 1; i < count; ++i) interface_faults(arguments[i]);
  if (count > 1) return 0;
  for (const std::string& isa : mobilenet::available_isas()) {
    const mobilenet::Kernels& kernels = mobilenet::kernels_for(isa);
    faults<mobilenet::Net>(kernels, "float32");
    faults<mobilenet::NetI8>(kernels, "integers");
    images_and_answers(kernels);
  }
}
#else
int main() {}
#endif
