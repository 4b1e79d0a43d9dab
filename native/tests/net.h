// A small network as a program, for tests that run one.
#pragma once

#include <map>

#include "../core/runner.h"
#include "../isa/isa.h"
#include "support.h"

namespace mobilenet {

// Noise that is made once: a test that fails allocations meets those of the core only.
inline const float* values(std::size_t count, unsigned seed) {
  static std::map<unsigned, std::vector<float>> known;
  if (!known.count(seed)) known[seed] = noise(count, seed);
  return known[seed].data();
}

// A stem, an inverted residual and a classifier on an image of side `n`, rows and panels split among `threads`.
struct Net {
  StemWeightsPtr stem;
  ProductWeightsPtr expand, project, head;
  DepthwiseWeightsPtr depthwise;

  explicit Net(const Kernels& k)
      : stem(std::make_shared<StemWeights>(Constants{values(20 * 27, 1), nullptr, values(20, 2)}, 20, 3)),
        expand(std::make_shared<ProductWeights>(Constants{values(70 * 20, 3), nullptr, values(70, 4)}, 70, 20, 1, 3, k)),
        project(std::make_shared<ProductWeights>(Constants{values(20 * 70, 5), nullptr, values(20, 6)}, 20, 70, 1, 2, k)),
        head(std::make_shared<ProductWeights>(Constants{values(40 * 20, 9), nullptr, values(40, 10)}, 40, 20, 1, 2, k)),
        depthwise(std::make_shared<DepthwiseWeights>(Constants{values(70 * 9, 7), nullptr, values(70, 8)}, 70, 3)) {}

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
    p.stage();
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
    p.stage();
    for (int t = 0; t < threads; ++t)
      p.add(t, 2, ProductStep{.weights = project,
                              .activation = relu6,
                              .window = one,
                              .source = d,
                              .target = y,
                              .residual = x,
                              .rows = {side * t / threads, side * (t + 1) / threads},
                              .panels = {0, 1}});
    p.stage();
    for (int t = 0; t < threads; ++t) {
      const int scratch = buffer(p, 40, side, side, side, 0), panels = static_cast<int>(head->panels.size());
      p.add(t, 3, PooledProductStep{.weights = head,
                                    .activation = relu6,
                                    .source = y,
                                    .scratch = scratch,
                                    .target = pooled,
                                    .panels = {panels * t / threads, panels * (t + 1) / threads}});
    }
    p.stage();
    p.add(0, 4, EmitStep{.source = pooled, .output = output, .rows = {0, 1}});
    return p;
  }
};

}  // namespace mobilenet
