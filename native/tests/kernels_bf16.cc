// Every bfloat16 kernel on random calls: tails of tiles, strides, dilations, missing rows, both number types. In plain tiles it is
// compared with sums in double precision; on a tile unit with plain tiles, bit for bit. Targets stand between guards that no
// kernel may change.
#include <cmath>

#include "../core/weights_bf16.h"
#include "../isa/isa.h"
#include "../isa/portable_bf16.h"
#include "../kernels/bf16/plain_tiles.h"
#include "../kernels/bf16/table.h"
#include "support.h"

namespace {

using namespace mobilenet;
using namespace mobilenet::bf16;

constexpr int kRounds = 200;
constexpr std::size_t kMargin = 4096;  // bytes of guards around a target

// The portable vector with the one rounding of a fused multiply-add, as a tile unit's neighbors have it.
struct Fused : PortableBf16 {
  static Register multiply_add(Register a, Register b, Register c) {
    for (int i = 0; i < lanes; ++i) c[i] = std::fma(a[i], b[i], c[i]);
    return c;
  }
};

struct Random {
  std::mt19937 generator;

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }
  float value() { return std::uniform_real_distribution<float>(-2, 2)(generator); }
  std::vector<float> floats(std::size_t count) {
    std::vector<float> made(count);
    for (float& x : made) x = value();
    return made;
  }
  // Pixels of a buffer: float32, or bfloat16 two to a word.
  std::vector<float> pixels(std::size_t count, bool real) {
    std::vector<float> made = floats(count);
    for (float& x : made)
      if (!real) x = std::bit_cast<float>(std::uint32_t{rounded(value())} << 16 | rounded(value()));
    return made;
  }
};

struct Target {
  std::vector<float> memory;
  explicit Target(std::size_t pixels) : memory(pixels * 16 + 2 * kMargin / 4, -7.5f) {}
  std::byte* start() { return reinterpret_cast<std::byte*>(memory.data()) + kMargin; }
  bool operator==(const Target& other) const {
    return std::memcmp(memory.data(), other.memory.data(), memory.size() * sizeof(float)) == 0;
  }
};

std::byte* bytes(std::vector<float>& values) { return reinterpret_cast<std::byte*>(values.data()); }

const bf16::Kernels kPlain = bf16::kernels<PlainTiles, Fused>();

void products(Random& random, const bf16::Kernels* tiles) {
  const int inputs = random.between(1, 200), outputs = random.between(1, 32), kernel = random.between(0, 3) ? 1 : 3;
  const int pixels = random.between(1, 70), stride = random.between(1, 2), taps = kernel * kernel;
  std::vector<float> weight = random.floats(static_cast<std::size_t>(outputs) * inputs * taps), bias = random.floats(outputs);
  const bf16::ProductWeights w({.weight = weight.data(), .scale = nullptr, .bias = bias.data()}, outputs, inputs, kernel);
  const long columns = (pixels - 1) * stride + kernel;
  std::vector<float> source = random.pixels(static_cast<std::size_t>(w.depth()) * kernel * columns * 16, false);
  std::vector<Tap> positions;
  for (int i = 0; i < taps; ++i)
    positions.push_back({.first = bytes(source) + (i / kernel * columns + i % kernel) * kPixel, .block = kernel * columns * kPixel});
  const bool real = random.between(0, 1), added = random.between(0, 1), second = !real || w.halves(0) > 1;
  std::vector<float> residual = random.pixels(2 * static_cast<std::size_t>(pixels) * 16, real);
  const long block = real ? pixels * kPixel : kPixel / 2;
  const auto call = [&](Target& target) {
    bf16::ProductCall made{.taps = positions.data(), .tap_count = taps, .stride = stride, .depth = w.depth(), .weights = w.panel(0),
                     .bias = w.bias.as<float>(), .halves = w.halves(0), .target = {}, .residual = {}, .pixels = pixels, .range = {0, 6}};
    for (int half = 0; half < (second ? 2 : 1); ++half) {
      made.target[half] = {target.start() + half * block, real};
      if (added) made.residual[half] = {bytes(residual) + half * block, real};
    }
    return made;
  };
  Target plain(2 * static_cast<std::size_t>(pixels)), other = plain;
  kPlain.product(call(plain));
  for (int p = 0; p < pixels; ++p)
    for (int output = 0; output < outputs; ++output) {
      double sum = bias[output], magnitude = std::fabs(sum);
      for (int tap = 0; tap < taps; ++tap)
        for (int k = 0; k < inputs; ++k) {
          const std::byte* pixel = positions[tap].first + k / kWide * positions[tap].block + p * stride * kPixel;
          const double term = double{widened(reinterpret_cast<const Value*>(pixel)[k % kWide])} *
                              widened(rounded(weight[(static_cast<std::size_t>(output) * inputs + k) * taps + tap]));
          sum += term, magnitude += std::fabs(term);
        }
      const long at = output / 16 * block + p * kPixel, lane = output % 16;
      const auto read = [&](const std::byte* from) {
        return real ? reinterpret_cast<const float*>(from + at)[lane] : widened(reinterpret_cast<const Value*>(from + at)[lane]);
      };
      sum = std::fmin(std::fmax(sum, 0), 6) + (added ? read(bytes(residual)) : 0);
      const double bound = 0x1p-20 * (magnitude + 2) + (real ? 0 : 0x1p-8 * std::fabs(sum));
      check(std::fabs(read(plain.start()) - sum) <= bound, "product: far from the sum in double precision");
    }
  if (!tiles) return;
  tiles->product(call(other));
  tiles->end();
  check(plain == other, "product: the tile unit differs from plain tiles");
}

void fused_blocks(Random& random, const bf16::Kernels* tiles) {
  const int inputs = random.between(1, 170), outputs = random.between(1, 70), kernel = random.between(0, 4) ? 3 : 5;
  const int stride = random.between(1, 2), dilation = stride == 1 ? random.between(1, 3) : 1, rows = random.between(1, 7);
  const int pixels = random.between(1, 40), groups = (outputs + 15) / 16, reach = (kernel - 1) * dilation;
  const int width = (pixels - 1) * stride + 1, height = (rows - 1) * stride + 1 + reach, left = reach / 2, columns = width + reach;
  std::vector<float> weight = random.floats(static_cast<std::size_t>(outputs) * inputs), bias = random.floats(outputs);
  const bf16::ProductWeights w({.weight = weight.data(), .scale = nullptr, .bias = bias.data()}, outputs, inputs, 1);
  std::vector<float> source = random.pixels(static_cast<std::size_t>(w.depth()) * height * width * 16, false);
  std::vector<float> windows = random.floats(static_cast<std::size_t>(groups) * kernel * kernel * 16),
                     start = random.floats(static_cast<std::size_t>(groups) * 16), zeros(static_cast<std::size_t>(columns) * 16, 0.0f);
  const bool real = random.between(0, 1);
  const int places = random.between(0, 1) ? std::min(groups, 2) : groups, missing = random.between(-1, height - 1);
  std::vector<long> offsets;
  for (int y = 0; y < rows; ++y) {
    offsets.push_back(static_cast<long>(y) * pixels * kPixel);
    for (int i = 0; i < kernel; ++i) {
      const int row = y * stride + i * dilation;
      offsets.push_back(row == missing ? kOutside : static_cast<long>(row) * columns * kPixel);
    }
  }
  const auto run = [&](const bf16::Kernels& kernels, Target& target) {
    std::vector<float> ring(static_cast<std::size_t>(places) * height * columns * 16, 0.0f);
    kernels.expand_depthwise({.source = {bytes(source), width * kPixel, height}, .source_block = static_cast<long>(height) * width * kPixel,
                              .depth = w.depth(), .weights = w.panel(0), .bias = w.bias.as<float>(), .from = 0, .to = height, .width = width,
                              .ring = {bytes(ring) + left * kPixel, columns * kPixel, height},
                              .ring_block = static_cast<long>(height) * columns * kPixel, .places = places,
                              .depthwise = {.offsets = offsets.data(), .rows = rows, .source = {bytes(ring), true}, .read = {0, 6},
                                            .zeros = bytes(zeros), .weights = windows.data(), .bias = start.data(),
                                            .target = {target.start(), real}, .pixels = pixels, .kernel = kernel, .stride = stride,
                                            .dilation = dilation, .range = {0, 6}},
                              .target_block = static_cast<long>(rows) * pixels * kPixel, .first = 0, .last = groups});
    kernels.end();
  };
  Target plain(static_cast<std::size_t>(groups) * rows * pixels), other = plain;
  run(kPlain, plain);
  for (int output = 0; output < outputs; ++output)
    for (int y = 0; y < rows; ++y)
      for (int p = 0; p < pixels; ++p) {
        double sum = start[output], magnitude = std::fabs(sum);
        for (int i = 0; i < kernel * kernel; ++i) {
          const int row = y * stride + i / kernel * dilation, column = p * stride + i % kernel * dilation - left;
          if (row == missing || column < 0 || column >= width) continue;
          double expanded = bias[output];
          for (int k = 0; k < inputs; ++k) {
            const std::byte* pixel = bytes(source) + ((static_cast<long>(k / kWide) * height + row) * width + column) * kPixel;
            expanded += double{widened(reinterpret_cast<const Value*>(pixel)[k % kWide])} *
                        widened(rounded(weight[static_cast<std::size_t>(output) * inputs + k]));
          }
          const double term = std::fmin(std::fmax(expanded, 0), 6) * windows[(output / 16 * kernel * kernel + i) * 16 + output % 16];
          sum += term, magnitude += std::fabs(term);
        }
        sum = std::fmin(std::fmax(sum, 0), 6);
        const std::byte* at = plain.start() + (static_cast<long>(y) * pixels + p) * kPixel;
        const long block = static_cast<long>(rows) * pixels * kPixel, group = output / 16;
        const float found =
            real ? reinterpret_cast<const float*>(at + group * block)[output % 16]
                 : widened(reinterpret_cast<const Value*>(at + group / 2 * block + group % 2 * (kPixel / 2))[output % 16]);
        const double bound = 0x1p-16 * (magnitude + inputs) + (real ? 0 : 0x1p-8 * std::fabs(sum));
        check(std::fabs(found - sum) <= bound, "fused block: far from the sum in double precision");
      }
  if (!tiles) return;
  run(*tiles, other);
  check(plain == other, "fused block: the tile unit differs from plain tiles");
}

}  // namespace

int main() {
  const std::vector<std::string> isas = available_isas();
  const bf16::Kernels* tiles = isas.back() == "amx" ? &kernels_for("amx").bf16 : nullptr;
  Random random{std::mt19937(1)};
  for (int round = 0; round < kRounds; ++round) products(random, tiles);
  for (int round = 0; round < kRounds / 4; ++round) fused_blocks(random, tiles);
  std::printf("bfloat16: %s\n", tiles ? "the tile unit as plain tiles" : "plain tiles, no tile unit here");
}
