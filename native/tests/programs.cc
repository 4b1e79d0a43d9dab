// Programs without Python, in float32 and in integers: the same bits on any number of threads, with several callers at once.
#include <thread>

#include "net.h"

namespace {

using namespace mobilenet;

template <class Network>
void programs(const Kernels& kernels) {
  const Network net(kernels);
  for (int n : {1, 2, 7, 30}) {
    const std::vector<float> image = noise(3 * n * n, 11);
    std::vector<float> expected(40);
    for (int threads : {1, 2, 3}) {
      const Program program = net.program(kernels, threads, n);
      const auto serve = [&] {
        Runner runner(threads);
        std::vector<float> result(40);
        const OutputPlace outputs[] = {{result.data()}};
        for (int i = 0; i < 8; ++i) {
          runner.prepare(program);
          runner.run(program, image.data(), outputs, nullptr);
        }
        return result;
      };
      if (threads == 1) expected = serve();
      std::vector<std::vector<float>> results(3);
      std::vector<std::thread> callers;
      for (auto& result : results) callers.emplace_back([&] { result = serve(); });
      for (std::thread& caller : callers) caller.join();
      for (const auto& result : results)
        check(std::memcmp(result.data(), expected.data(), 40 * sizeof(float)) == 0, "the same bits on any threads");
    }
  }
}

}  // namespace

int main() {
  for (const std::string& isa : available_isas()) {
    programs<Net>(kernels_for(isa));
    programs<NetI8>(kernels_for(isa));
  }
}
