// Every kernel of every instruction set against the plain loops of kernels/reference.h, bit for bit, on random calls: tails
// of tiles, half blocks, panels, strides, dilations, borders. Targets stand between guards that no kernel may change.
#include "../core/image.h"
#include "../core/weights.h"
#include "../isa/isa.h"
#include "../kernels/reference.h"
#include "support.h"

namespace {

using namespace mobilenet;

constexpr float kGuard = -12345.5f;
constexpr int kMargin = 256;  // guards before and after a target
constexpr int kRounds = 400;

class Random : public Draws {
 public:
  using Draws::Draws;
  std::vector<float> values(std::size_t count) { return noise(count, generator_()); }
  Range range() { return one_of<Range>({{0, 6}, {0, 1e30f}, {-1e30f, 1e30f}, {-0.25f, 0.5f}}); }
};

// A target between guards.
struct Target {
  std::vector<float> memory;
  explicit Target(std::size_t size) : memory(size + 2 * kMargin, kGuard) {}
  float* start() { return memory.data() + kMargin; }
  bool operator==(const Target& other) const {
    for (std::size_t i = 0; i < memory.size(); ++i)
      if (memory[i] != other.memory[i]) return false;
    return true;
  }
};

// Zeros in the lanes past the last channel, as everywhere in the arena. `block` is the floats of one block.
void clear_lanes(std::vector<float>& tensor, int channels, std::size_t block) {
  if (channels % kBlock == 0) return;
  for (std::size_t i = channels / kBlock * block; i < tensor.size(); ++i)
    if (static_cast<int>(i % kBlock) >= channels % kBlock) tensor[i] = 0;
}

// A call with everything that it points to; `run` makes the target with some kernels.
struct Product {
  Random random;
  int inputs, outputs, kernel, panel_blocks, pixels, step, first_tap, tap_count, block;
  bool with_residual;
  Range range;
  std::vector<float> source, weight, bias, residual;

  explicit Product(unsigned seed) : random(seed) {
    inputs = random.between(1, 70), outputs = random.between(1, 90), kernel = random.one_of({1, 1, 3});
    panel_blocks = random.one_of({1, 2, 3, 5}), pixels = random.between(1, 40);
    step = kernel == 1 ? random.one_of({1, 1, 2}) : random.between(1, 2);
    first_tap = kernel == 1 ? 0 : kernel * random.between(0, 2);
    tap_count = kernel == 1 ? 1 : kernel * random.between(1, 3 - first_tap / kernel);
    block = (pixels * step + kernel) * kBlock;
    with_residual = random.between(0, 1), range = random.range();
    source = random.values(static_cast<std::size_t>(blocks_of(inputs)) * block);
    clear_lanes(source, inputs, block);
    weight = random.values(static_cast<std::size_t>(outputs) * inputs * kernel * kernel), bias = random.values(outputs);
    residual = random.values(static_cast<std::size_t>(blocks_of(outputs)) * pixels * kBlock);
    clear_lanes(residual, outputs, pixels * kBlock);
  }

  Target run(const F32& f32) const {
    const Kernels kernels{.name = "", .f32 = f32};
    const ProductWeights packed({.weight = weight.data(), .scale = nullptr, .bias = bias.data()}, outputs, inputs, kernel,
                                panel_blocks, kernels);
    Target target(static_cast<std::size_t>(blocks_of(outputs)) * pixels * kBlock);
    std::vector<const float*> taps;
    for (int tap = 0; tap < tap_count; ++tap) taps.push_back(source.data() + tap % kernel * kBlock);
    for (const ProductWeights::Panel& panel : packed.panels)
      f32.product({.taps = taps.data(),
                   .tap_count = tap_count,
                   .first_tap = first_tap,
                   .all_taps = kernel * kernel,
                   .pixel_step = step * kBlock,
                   .source_block = block,
                   .depth = packed.depth,
                   .weights = packed.weights.as<float>() + panel.offset,
                   .bias = packed.bias.as<float>() + panel.first_block * kBlock,
                   .blocks = panel.blocks,
                   .half = panel.half,
                   .target = target.start() + panel.first_block * pixels * kBlock,
                   .target_block = pixels * kBlock,
                   .residual = with_residual ? residual.data() + panel.first_block * pixels * kBlock : nullptr,
                   .residual_block = pixels * kBlock,
                   .pixels = pixels,
                   .range = range});
    return target;
  }
};

struct Depthwise {
  Random random;
  int rows, pixels, kernel, stride, dilation, pitch;
  Range range;
  std::vector<float> source, zeros, weights, bias;
  std::vector<long> offsets;

  explicit Depthwise(unsigned seed) : random(seed) {
    rows = random.between(1, 4), pixels = random.between(1, 30), kernel = random.one_of({1, 3, 3, 3, 5});
    stride = random.one_of({1, 1, 2, 3}), dilation = random.one_of({1, 1, 2, 4});
    pitch = ((pixels - 1) * stride + (kernel - 1) * dilation + 1) * kBlock;
    range = random.range();
    source = random.values(6 * pitch), zeros = std::vector<float>(pitch, 0);
    weights = random.values(kernel * kernel * kBlock), bias = random.values(kBlock);
    for (int y = 0; y < rows; ++y) {
      offsets.push_back(static_cast<long>(y) * pixels * kBlock);
      for (int i = 0; i < kernel; ++i) offsets.push_back(random.between(0, 4) ? random.between(0, 5) * pitch : kOutside);
    }
  }

  Target run(const F32& f32) const {
    Target target(static_cast<std::size_t>(rows) * pixels * kBlock);
    f32.depthwise({.offsets = offsets.data(),
                   .rows = rows,
                   .source = source.data(),
                   .zeros = zeros.data(),
                   .weights = weights.data(),
                   .bias = bias.data(),
                   .target = target.start(),
                   .pixels = pixels,
                   .kernel = kernel,
                   .stride = stride,
                   .dilation = dilation,
                   .range = range});
    return target;
  }
};

struct Stem {
  Random random;
  int width, left, blocks, kernel, stride, dilation, pixels;
  Range range;
  std::vector<float> image, weights, bias;

  explicit Stem(unsigned seed) : random(seed) {
    const bool usual = random.between(0, 2);  // 3 x 3, stride 2
    width = random.between(1, 70), blocks = random.between(1, 4);
    kernel = usual ? 3 : random.one_of({1, 3, 5}), stride = usual ? 2 : random.between(1, 3);
    dilation = usual ? 1 : random.between(1, 2);
    left = random.between(0, (kernel - 1) * dilation);
    pixels = random.between(1, (width - 1 + left) / stride + 1);  // every window overlaps the image
    range = random.range();
    image = random.values(static_cast<std::size_t>(kPlanes) * kernel * width);
    weights = random.values(static_cast<std::size_t>(blocks) * kPlanes * kernel * kernel * kBlock);
    bias = random.values(blocks * kBlock);
  }

  Target run(const F32& f32) const {
    Target target(static_cast<std::size_t>(blocks) * pixels * kBlock);
    std::vector<const float*> rows;
    for (int i = 0; i < kPlanes * kernel; ++i) rows.push_back(image.data() + i * width);
    f32.stem({.rows = rows.data(),
              .width = width,
              .left = left,
              .weights = weights.data(),
              .bias = bias.data(),
              .blocks = blocks,
              .target = target.start(),
              .target_block = static_cast<long>(pixels) * kBlock,
              .pixels = pixels,
              .kernel = kernel,
              .stride = stride,
              .dilation = dilation,
              .range = range});
    return target;
  }
};

struct Resize {
  Random random;
  int width, pixels;
  float down;
  std::vector<float> above, below, right;
  std::vector<int> column, next;

  explicit Resize(unsigned seed) : random(seed) {
    width = random.between(1, 20), pixels = random.between(1, 40), down = random.values(1)[0];
    above = random.values(width * kBlock), below = random.values(width * kBlock), right = random.values(pixels);
    for (int p = 0; p < pixels; ++p) column.push_back(random.between(0, width - 1)), next.push_back(random.between(0, width - 1));
  }

  Target run(const F32& f32) const {
    Target target(static_cast<std::size_t>(pixels) * kBlock);
    f32.resize({.above = above.data(),
                .below = below.data(),
                .down = down,
                .column = column.data(),
                .next = next.data(),
                .right = right.data(),
                .target = target.start(),
                .pixels = pixels});
    return target;
  }
};

struct Add {
  std::vector<float> a, b;
  explicit Add(unsigned seed) : a(noise(seed % 9 * kBlock, seed)), b(noise(seed % 9 * kBlock, seed + 1)) {}

  Target run(const F32& f32) const {
    Target target(a.size());
    f32.add(a.data(), b.data(), target.start(), static_cast<long>(a.size()));
    return target;
  }
};

struct Accumulate {
  std::vector<float> pixels, sum;
  explicit Accumulate(unsigned seed) : pixels(noise(seed % 50 * kBlock, seed)), sum(noise(kBlock, seed + 1)) {}

  Target run(const F32& f32) const {
    Target target(kBlock);
    std::copy(sum.begin(), sum.end(), target.start());
    f32.accumulate(pixels.data(), static_cast<long>(pixels.size()) / kBlock, 1.0f / 7, target.start());
    return target;
  }
};

// The kernels must agree with one of the two ways to round, the same one in every call.
template <class Call>
void compare(const char* kernel, const Kernels& kernels, bool& fused, bool& separate) {
  for (unsigned seed = 0; seed < kRounds; ++seed) {
    const Call call(seed);
    const Target result = call.run(kernels.f32);
    fused = fused && result == call.run(reference::f32_kernels<reference::Fused>());
    separate = separate && result == call.run(reference::f32_kernels<reference::Separate>());
    check(fused || separate, std::string(kernels.name) + " " + kernel + ", seed " + std::to_string(seed) +
                                 ": differs from the reference");
  }
}

}  // namespace

int main() {
  for (const std::string& isa : available_isas()) {
    const Kernels& kernels = kernels_for(isa);
    bool fused = true, separate = true;
    compare<Product>("product", kernels, fused, separate);
    compare<Depthwise>("depthwise", kernels, fused, separate);
    compare<Stem>("stem", kernels, fused, separate);
    compare<Resize>("resize", kernels, fused, separate);
    compare<Add>("add", kernels, fused, separate);
    compare<Accumulate>("accumulate", kernels, fused, separate);
    std::printf("%s: as the reference with %s multiply-adds\n", isa.c_str(), fused ? "fused" : "separate");
  }
}
