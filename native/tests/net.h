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

// Integers from `low` to `high`, made once too.
template <class T>
const T* integers(std::size_t count, unsigned seed, int low, int high) {
  static std::map<unsigned, std::vector<T>> known;
  if (!known.count(seed)) {
    const float* shares = values(count, seed);
    for (std::size_t i = 0; i < count; ++i)
      known[seed].push_back(static_cast<T>(static_cast<float>(low) + (shares[i] + 1) / 2 * static_cast<float>(high - low)));
  }
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

// The same in integers: the image's pixels, a stem, an inverted residual, a classifier of real outputs.
struct NetI8 {
  i8::ProductWeightsPtr stem, expand, project, head, linear;
  i8::DepthwiseWeightsPtr depthwise;

  // `seed`: of the layer's integers. Without a multiplier its results are real.
  static i8::Constants constants(int outputs, int inputs, unsigned seed, bool real = false, bool residual = false) {
    return {.weight = integers<std::int8_t>(outputs * inputs, seed, -9, 9),
            .bias = integers<std::int32_t>(outputs, seed + 1, -900, 900),
            .multiplier = real ? nullptr : integers<std::int32_t>(outputs, seed + 2, 1 << 14, 1 << 16),
            .scale = real ? values(outputs, seed + 3) : nullptr,
            .factor = residual ? integers<std::int32_t>(outputs, seed + 4, 1, 40) : nullptr,
            .residual_zero = residual ? 9 : 0,
            .zero = 7,
            .low = 0,
            .high = 250};
  }

  static i8::ProductWeightsPtr product(const i8::Constants& c, int outputs, int inputs, int kernel, const Kernels& k) {
    return std::make_shared<i8::ProductWeights>(c, outputs, inputs, kernel, inputs == 3, k.i8.packing);
  }

  explicit NetI8(const Kernels& k)
      : stem(product(constants(20, 27, 100), 20, 3, 3, k)),
        expand(product(constants(70, 20, 110), 70, 20, 1, k)),
        project(product(constants(20, 70, 120, false, true), 20, 70, 1, k)),
        head(product(constants(40, 20, 130), 40, 20, 1, k)),
        linear(product(constants(40, 40, 140, true), 40, 40, 1, k)),
        depthwise(std::make_shared<i8::DepthwiseWeights>(constants(70, 9, 150), 70, 3, k.i8.packing)) {}

  Program program(const Kernels& k, int threads, int n) const {
    constexpr std::uint32_t kImage = 0x00807060, kByte = 0x07070707;
    const int side = (n - 1) / 2 + 1;
    const auto lines = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
    Program p(k, threads, n, n, 7, 1 << 22, 0);
    const std::int64_t pixel_row = lines((n + 2) * 4), byte_row = lines((side + 2) * kPanel);
    p.border(kImage, pixel_row), p.border(kByte, byte_row);
    std::int64_t next = pixel_row + byte_row;
    const auto buffer = [&](Number number, int channels, int height, int width, int margin, std::uint32_t zero) {
      const int index = p.buffer(number, next, channels, height, width, height, margin, margin, zero);
      next += lines(static_cast<std::int64_t>(p.buffers[index].bytes()));
      return index;
    };
    const Window same{3, 1, 1, 1, 1}, one{1, 1, 1, 0, 0};
    const int image = buffer(Number::pixels, 3, n, n, 1, kImage), x = buffer(Number::u8, 20, side, side, 0, kByte);
    const int d = buffer(Number::u8, 70, side, side, 0, kByte), y = buffer(Number::u8, 20, side, side, 0, kByte);
    const int pooled = buffer(Number::u8, 40, 1, 1, 0, kByte), real = buffer(Number::real, 40, 1, 1, 0, 0);
    const int output = p.output(40, 1, 1);
    const auto rows = [threads](int height, int t) { return Span{height * t / threads, height * (t + 1) / threads}; };
    const auto panels = [&](int outputs, int t) { return rows(i8::panels_of(outputs), t); };
    for (int t = 0; t < threads; ++t) {
      p.add(t, 0, PadStep{.target = image, .slots = rows(n, t)});
      p.add(t, 0, i8::PixelStep{.target = image, .rows = rows(n, t), .factor = {60, 50, 40}, .offset = {96, 112, 128}});
    }
    p.stage();
    for (int t = 0; t < threads; ++t)
      p.add(t, 1, i8::ProductStep{.weights = stem, .window = {3, 2, 1, 1, 1}, .source = image, .target = x, .residual = -1,
                                  .rows = rows(side, t), .panels = {0, 1}});
    p.stage();
    for (int t = 0; t < threads; ++t) {
      const int ring = buffer(Number::u8, 64, side, side, 1, kByte);
      p.add(t, 2, PadStep{.target = ring, .slots = {0, side}});
      p.add(t, 2, i8::ExpandDepthwiseStep{.expand = expand, .depthwise = depthwise, .window = same, .source = x, .ring = ring,
                                          .target = d, .expanded = {0, side}, .rows = {0, side}, .panels = panels(70, t)});
    }
    p.stage();
    for (int t = 0; t < threads; ++t)
      p.add(t, 3, i8::ProductStep{.weights = project, .window = one, .source = d, .target = y, .residual = x,
                                  .rows = rows(side, t), .panels = {0, 1}});
    p.stage();
    for (int t = 0; t < threads; ++t) {
      const int scratch = buffer(Number::u8, 64, side, side, 0, kByte);
      p.add(t, 4, i8::PooledProductStep{.weights = head, .source = y, .scratch = scratch, .target = pooled,
                                        .panels = panels(40, t),
                                        .mean = {i8::Rounding::even, (1 << 20) / (side * side), 20, 7, 7}});
    }
    p.stage();
    p.add(0, 5, i8::ProductStep{.weights = linear, .window = one, .source = pooled, .target = real, .residual = -1,
                                .rows = {0, 1}, .panels = {0, 1}});
    p.stage();
    p.add(0, 6, i8::EmitStep{.source = real, .output = output, .rows = {0, 1}, .zero = 0, .scale = 1});
    return p;
  }
};

}  // namespace mobilenet
