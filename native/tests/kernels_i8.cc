// Every int8 kernel of every instruction set against the plain loops of kernels/i8/reference.h, byte for byte, on random calls:
// tails of tiles, narrow panels, strides, dilations, borders, all forms of rounding. Targets stand between guards that no kernel
// may change.
#include "../isa/isa.h"
#include "../isa/portable_i8.h"
#include "../kernels/i8/plain_tiles.h"
#include "../kernels/i8/product_tiles.h"
#include "../kernels/i8/reference.h"
#include "../kernels/i8/table.h"
#include "layer_i8.h"
#include "support.h"

namespace {

using namespace mobilenet;
using namespace mobilenet::i8;

constexpr std::uint8_t kGuard = 0xa5;
constexpr int kMargin = 256;     // guards before and after a target
constexpr int kRounds = 400;

// A target between guards.
struct Target {
  std::vector<std::uint8_t> memory;
  explicit Target(std::size_t bytes) : memory(bytes + 2 * kMargin, kGuard) {}
  std::uint8_t* start() { return memory.data() + kMargin; }
};

struct Product {
  Random random;
  bool image;
  int inputs, outputs, kernel, stride, rows, row_pixels, pixels;
  bool wide, with_residual;
  Layer layer;
  std::vector<std::uint8_t> source, residual;

  explicit Product(unsigned seed)
      : random(seed),
        image(random.between(0, 4) == 0),
        inputs(image ? 3 : random.one_of({random.between(1, 70), random.between(1, 300), 16, 24, 64, 128})),
        outputs(random.one_of({random.between(1, 90), random.between(1, 200), 16, 32, 48, 64})),
        kernel(random.one_of({1, 1, 1, 3})),
        stride(kernel == 1 ? random.one_of({1, 1, 2}) : random.between(1, 3)),
        rows(random.one_of({1, 1, 2, 5})),
        row_pixels(rows == 1 ? random.between(1, 50) : random.one_of({random.between(1, 16), random.between(1, 50)})),
        pixels(rows * row_pixels),
        wide(random.between(0, 3) == 0),
        with_residual(!wide && random.between(0, 2) == 0),
        layer(random, outputs, static_cast<std::size_t>(inputs) * kernel * kernel, true, with_residual, random.between(0, 2) == 0) {
    source = random.bytes(static_cast<std::size_t>(panels_of(inputs)) * columns() * kPanel);
    residual = random.bytes(static_cast<std::size_t>(panels_of(outputs)) * (pixels + 3 * rows) * kPanel);
  }

  int columns() const { return pixels * stride + kernel; }

  Target run(const i8::Kernels& kernels) const {
    const ProductWeights packed(layer.constants(), outputs, inputs, kernel, image, kernels.packing);
    const std::size_t panel_bytes = static_cast<std::size_t>(pixels + 3 * rows) * kPanel * (layer.real ? 4 : 1);
    Target target(panels_of(outputs) * panel_bytes);
    std::vector<Tap> taps;
    for (int tap = 0; tap < kernel * kernel; ++tap)
      taps.push_back({.full = source.data() + tap % kernel * kPanel,
                      .panel = static_cast<long>(columns()) * kPanel,
                      .last = source.data() + static_cast<long>(packed.full_panels()) * columns() * kPanel +
                              tap % kernel * packed.narrow()});
    for (int panel = 0; panel < panels_of(outputs); ++panel) {
      const int width = panel_width(outputs, panel);
      kernels.product({.taps = taps.data(),
                       .tap_count = kernel * kernel,
                       .stride = stride,
                       .full_panels = packed.full_panels(),
                       .narrow = packed.narrow(),
                       .quads = packed.quads(),
                       .weights = packed.weights.as<std::int8_t>() + packed.offsets[panel],
                       .more = packed.more[panel].data(),
                       .more_count = static_cast<int>(packed.more[panel].size()),
                       .more_weights = packed.more_weights[panel].data(),
                       .requantize = packed.constants.of(panel),
                       .width = width,
                       .target_pixel = wide ? kPanel : width,
                       .target = target.start() + panel * panel_bytes,
                       .residual = packed.residual ? residual.data() + panel * pixels * kPanel : nullptr,
                       .factor = packed.factors.as<std::int32_t>() + (packed.residual ? panel * kSlots : 0),
                       .pixels = pixels,
                       .row_pixels = row_pixels,
                       .row = (row_pixels + (rows > 1 ? 3L : 0L)) * (wide ? kPanel : width)});
    }
    return target;
  }
};

struct Depthwise {
  Random random;
  int channels, rows, pixels, kernel, stride, dilation, source_pixel, pitch;
  Layer layer;
  std::vector<std::uint8_t> source, border;
  std::vector<long> offsets;

  explicit Depthwise(unsigned seed)
      : random(seed),
        channels(random.one_of({16, 32, 48, 64, random.between(1, 64)})),
        rows(random.between(1, 4)),
        pixels(random.between(1, 30)),
        kernel(random.one_of({3, 3, 3, 3, 3, 1, 5})),
        stride(random.one_of({1, 1, 2, 3})),
        dilation(random.one_of({1, 1, 2, 4})),
        source_pixel(random.between(0, 3) ? panel_width(channels, 0) : kPanel),
        pitch(((pixels - 1) * stride + (kernel - 1) * dilation + 1) * source_pixel),
        layer(random, channels, static_cast<std::size_t>(kernel) * kernel, false, false, random.between(0, 2) == 0),
        source(random.bytes(static_cast<std::size_t>(6) * pitch)),
        border(static_cast<std::size_t>(pitch) + kOverread, static_cast<std::uint8_t>(random.between(0, 255))) {
    for (int y = 0; y < rows; ++y) {
      offsets.push_back(static_cast<long>(y) * pixels * panel_width(channels, 0));
      for (int i = 0; i < kernel; ++i) offsets.push_back(random.between(0, 4) ? random.between(0, 5) * pitch : kOutside);
    }
  }

  Target run(const i8::Kernels& kernels) const {
    const DepthwiseWeights packed(layer.constants(), channels, kernel, kernels.packing);
    Target target(static_cast<std::size_t>(rows) * pixels * panel_width(channels, 0));
    kernels.depthwise({.offsets = offsets.data(),
                       .rows = rows,
                       .source = source.data(),
                       .border = border.data(),
                       .weights = packed.weights.as<std::int8_t>(),
                       .passes = packed.passes[0],
                       .pass = static_cast<long>(packed.panel),
                       .requantize = packed.constants.of(0),
                       .source_pixel = source_pixel,
                       .width = panel_width(channels, 0),
                       .target = target.start(),
                       .pixels = pixels,
                       .kernel = kernel,
                       .stride = stride,
                       .dilation = dilation});
    return target;
  }
};

struct Accumulate {
  Random random;
  int width;
  std::vector<std::uint8_t> pixels;
  explicit Accumulate(unsigned seed)
      : random(seed), width(16 * random.between(1, 4)), pixels(random.bytes(static_cast<std::size_t>(random.between(0, 90)) * width)) {}

  Target run(const i8::Kernels& kernels) const {
    Target target(static_cast<std::size_t>(width) * 4);
    std::int32_t sums[kPanel] = {1, 2, 3};
    kernels.accumulate(pixels.data(), static_cast<long>(pixels.size() - kOverread) / width, width, sums);
    std::memcpy(target.start(), sums, static_cast<std::size_t>(width) * 4);
    return target;
  }
};

struct Add {
  Random random;
  long count;
  std::vector<std::uint8_t> a, b;
  Addition by;

  explicit Add(unsigned seed) : random(seed), count(16L * random.between(1, 20)), a(random.bytes(count)), b(random.bytes(count)) {
    const bool fixed = random.between(0, 2);
    const auto term = [&](int least, int most) -> Term {
      if (!fixed) return {.zero = random.between(0, 255), .factor = random.between(1, 40000), .shift = 0};
      return {.zero = random.between(0, 255), .factor = random.between(1 << 30, 2147483647), .shift = random.between(least, most)};
    };
    by = {.rounding = fixed ? Rounding::fixed : Rounding::even, .a = term(-3, 0), .b = term(-3, 0), .sum = term(-21, -17)};
    if (fixed && random.between(0, 5) == 0) by.sum.shift = random.one_of({1, -31}), by.a.shift = random.one_of({-31, 1});
  }

  Target run(const i8::Kernels& kernels) const {
    Target target(count);
    std::memcpy(target.start(), a.data(), count);
    kernels.add({.a = target.start(), .b = b.data(), .target = target.start(), .count = count, .by = by});
    return target;
  }
};

struct Resize {
  Random random;
  int width, from, pixels;
  bool even, real;
  std::vector<std::uint8_t> above, below;
  std::vector<int> first, second;
  std::vector<float> across;
  float down;

  explicit Resize(unsigned seed)
      : random(seed), width(16 * random.between(1, 4)), from(random.between(1, 9)), pixels(random.between(1, 40)),
        even(random.between(0, 1)), real(even && random.between(0, 1)), above(random.bytes(from * width)),
        below(random.bytes(from * width)), down(weight()) {
    for (int x = 0; x < pixels; ++x) {
      first.push_back(x * from / pixels), second.push_back(std::min(first.back() + random.between(0, 1), from - 1));
      across.push_back(weight());
    }
  }
  float weight() { return even ? static_cast<float>(random.between(0, 256)) : static_cast<float>(random.between(0, 1 << 24)) / (1 << 24); }

  Target run(const i8::Kernels& kernels) const {
    Target target(static_cast<std::size_t>(pixels) * width * (real ? 4 : 1));
    kernels.resize({.above = above.data(),
                    .below = below.data(),
                    .first = first.data(),
                    .second = second.data(),
                    .one = even ? 256.0f : 1.0f,
                    .down = down,
                    .across = across.data(),
                    .width = width,
                    .pixels = pixels,
                    .target = real ? nullptr : target.start(),
                    .real = reinterpret_cast<float*>(target.start()),
                    .zero = 77.0f * 65536,
                    .scale = 0.1f / 65536});
    return target;
  }
};

struct Emit {
  Random random;
  int width, channels, pixels;
  bool in_bytes;
  std::vector<std::uint8_t> source;
  explicit Emit(unsigned seed)
      : random(seed), width(16 * random.between(1, 4)), channels(random.between(1, width)), pixels(random.between(1, 60)),
        in_bytes(random.between(0, 1)), source(random.bytes(static_cast<std::size_t>(pixels) * width)) {}

  Target run(const i8::Kernels& kernels) const {
    const long plane = pixels + 5;
    Target target(static_cast<std::size_t>(channels * plane) * 4);
    kernels.emit({.source = source.data(),
                  .width = width,
                  .channels = channels,
                  .pixels = pixels,
                  .zero = 131,
                  .scale = 0.0123f,
                  .target = in_bytes ? nullptr : reinterpret_cast<float*>(target.start()),
                  .bytes = target.start(),
                  .plane = plane});
    return target;
  }
};

struct Pixels {
  Rounding rounding;
  std::vector<float> planes;
  explicit Pixels(unsigned seed) : rounding(seed % 2 ? Rounding::even : Rounding::divided), planes(noise(3 * (seed + 1), seed)) {
    for (std::size_t i = 0; i < planes.size(); i += 7) planes[i] *= 100;
    for (std::size_t i = 3; i < planes.size(); i += 11) planes[i] = 0.5f;  // halfway between two bytes
  }

  Target run(const i8::Kernels& kernels) const {
    const long count = static_cast<long>(planes.size()) / 3;
    Target target(static_cast<std::size_t>(count) * 4);
    const bool even = rounding == Rounding::even;
    const float factor[] = {even ? 127.0f : 0.0078125f, even ? 57.12f : 0.01f, even ? 128.0f : 1.0f},
                offset[] = {128.0f, even ? 124.5f : 124.0f, 0.0f};
    kernels.pixels({.rounding = rounding,
                    .planes = {planes.data(), planes.data() + count, planes.data() + 2 * count},
                    .factor = factor,
                    .offset = offset,
                    .target = target.start(),
                    .pixels = static_cast<int>(count)});
    return target;
  }
};

template <class Call>
void compare(const std::string& name, const i8::Kernels& kernels) {
  for (unsigned seed = 0; seed < kRounds; ++seed) {
    const Call call(seed);
    check(call.run(kernels).memory == call.run(reference::kernels()).memory,
          name + ", seed " + std::to_string(seed) + ": differs from the reference");
  }
}

void compare_all(const std::string& name, const i8::Kernels& kernels) {
  if (kernels.begin) kernels.begin();
  compare<Product>(name + " product", kernels);
  compare<Depthwise>(name + " depthwise", kernels);
  compare<Accumulate>(name + " accumulate", kernels);
  compare<Add>(name + " add", kernels);
  compare<Resize>(name + " resize", kernels);
  compare<Emit>(name + " emit", kernels);
  compare<Pixels>(name + " pixels", kernels);
  if (kernels.end) kernels.end();
  std::printf("%s: int8 as the reference\n", name.c_str());
}

// The tile unit's kernel where there is none: its pipeline and tails, on plain loops with registers as wide as AVX-512's.
i8::Kernels plain_tiles() {
  i8::Kernels kernels = i8::kernels<PortableInt<16>>();
  kernels.product = product_tiles<PlainTiles, PortableInt<16>>;
  return kernels;
}

}  // namespace

int main() {
  compare_all("plain tiles", plain_tiles());
  for (const std::string& isa : available_isas()) compare_all(isa, kernels_for(isa).i8);
}
