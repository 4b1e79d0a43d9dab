// Programs without Python: the same bits on any number of threads, with several callers at once.
#include <thread>

#include "../core/runner.h"
#include "../isa/isa.h"
#include "support.h"

namespace {

using namespace mobilenet;

// A stem, an inverted residual and a classifier on a image of side `n`, rows and panels split among `threads`.
struct Net {
  StemWeightsPtr stem;
  ProductWeightsPtr expand, project, head;
  DepthwiseWeightsPtr depthwise;

  explicit Net(const Kernels& k)
      : stem(std::make_shared<StemWeights>(Constants{noise(20 * 27, 1).data(), nullptr, noise(20, 2).data()}, 20, 3)),
        expand(std::make_shared<ProductWeights>(Constants{noise(70 * 20, 3).data(), nullptr, noise(70, 4).data()}, 70, 20, 1, 3, k)),
        project(std::make_shared<ProductWeights>(Constants{noise(20 * 70, 5).data(), nullptr, noise(20, 6).data()}, 20, 70, 1, 2, k)),
        head(std::make_shared<ProductWeights>(Constants{noise(40 * 20, 9).data(), nullptr, noise(40, 10).data()}, 40, 20, 1, 2, k)),
        depthwise(std::make_shared<DepthwiseWeights>(Constants{noise(70 * 9, 7).data(), nullptr, noise(70, 8).data()}, 70, 3)) {}

  Program program(const Kernels& k, int threads, int n) const {
    const int side = (n - 1) / 2 + 1, zeros = (side + 2) * kBlock * 4;
    std::int64_t next = zeros;
    const auto buffer = [&](Program& p, int channels, int height, int width, int slots, int margin) {
      const int index = p.buffer(Number::f32, next, channels, height, width, slots, margin, margin);
      next += static_cast<std::int64_t>(p.buffers[index].bytes());
      return index;
    };
    Program p(k, threads, n, n, 5, 1 << 22, zeros);
    const Activation relu6 = Activation::relu6;
    const Window same{3, 1, 1, 1, 1}, one{1, 1, 1, 0, 0};
    const int x = buffer(p, 20, side, side, side, 0), d = buffer(p, 70, side, side, side, 0);
    const int y = buffer(p, 20, side, side, side, 0), pooled = buffer(p, 40, 1, 1, 1, 0);
    const int output = p.output(40, 1, 1);
    for (int t = 0; t < threads; ++t)
      p.add(t, 0, StemStep{.weights = stem,
                           .activation = relu6,
                           .window = {3, 2, 1, 1, 1},
                           .target = x,
                           .rows = {side * t / threads, side * (t + 1) / threads}});
    p.barrier();
    for (int t = 0; t < threads; ++t) {
      const int ring = buffer(p, 48, side, side, side, 1), panels = static_cast<int>(expand->panels.size());
      p.add(t, 1, PadStep{.target = ring, .slots = {0, side}});
      p.add(t, 1, ExpandDepthwiseStep{.expand = expand,
                                      .expand_activation = relu6,
                                      .depthwise = depthwise,
                                      .activation = relu6,
                                      .window = same,
                                      .source = x,
                                      .ring = ring,
                                      .target = d,
                                      .expanded = {0, side},
                                      .rows = {0, side},
                                      .panels = {panels * t / threads, panels * (t + 1) / threads}});
    }
    p.barrier();
    for (int t = 0; t < threads; ++t)
      p.add(t, 2, ProductStep{.weights = project,
                              .activation = relu6,
                              .window = one,
                              .source = d,
                              .target = y,
                              .residual = x,
                              .rows = {side * t / threads, side * (t + 1) / threads},
                              .panels = {0, 1}});
    p.barrier();
    for (int t = 0; t < threads; ++t) {
      const int scratch = buffer(p, 40, side, side, side, 0), panels = static_cast<int>(head->panels.size());
      p.add(t, 3, PooledProductStep{.weights = head,
                                    .activation = relu6,
                                    .source = y,
                                    .scratch = scratch,
                                    .target = pooled,
                                    .panels = {panels * t / threads, panels * (t + 1) / threads}});
    }
    p.barrier();
    p.add(0, 4, EmitStep{.source = pooled, .output = output, .rows = {0, 1}});
    return p;
  }
};

void programs(const Kernels& kernels) {
  const Net net(kernels);
  for (int n : {1, 2, 7, 30}) {
    const std::vector<float> image = noise(3 * n * n, 11);
    std::vector<float> expected(40);
    for (int threads : {1, 2, 3}) {
      const Program program = net.program(kernels, threads, n);
      const auto serve = [&] {
        Runner runner(threads);
        std::vector<float> result(40);
        float* outputs[] = {result.data()};
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
  for (const std::string& isa : available_isas()) programs(kernels_for(isa));
}
