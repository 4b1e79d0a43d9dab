// Every int8 kernel of every instruction set against the plain loops of kernels/i8/reference.h, byte for byte, on random calls:
// tails of tiles, narrow panels, strides, dilations, borders, all forms of rounding. Targets stand between guards that no kernel
// may change. The reference's rounding is compared with what it says in words, and the proof of fixed point with all sums.
#include <cmath>

#include "../core/fixed_point.h"
#include "../core/weights_i8.h"
#include "../isa/isa.h"
#include "../isa/portable_i8.h"
#include "../kernels/i8/plain_tiles.h"
#include "../kernels/i8/product_tiles.h"
#include "../kernels/i8/reference.h"
#include "../kernels/i8/table.h"
#include "support.h"

namespace {

using namespace mobilenet;
using namespace mobilenet::i8;

constexpr std::uint8_t kGuard = 0xa5;
constexpr int kMargin = 256;     // guards before and after a target
constexpr int kOverread = 4096;  // what kernels may read past a source
constexpr int kRounds = 400;

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }
  template <class T>
  T one_of(std::initializer_list<T> values) { return *(values.begin() + between(0, static_cast<int>(values.size()) - 1)); }
  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> made(count + kOverread);
    const bool ends = between(0, 3) == 0;  // the extremes only
    for (std::uint8_t& b : made) b = static_cast<std::uint8_t>(ends ? 255 * between(0, 1) : between(0, 255));
    return made;
  }
  template <class T>
  std::vector<T> integers(std::size_t count, int low, int high) {
    std::vector<T> made(count);
    for (T& v : made) v = static_cast<T>(between(low, high));
    return made;
  }

 private:
  std::mt19937 generator_;
};

// A target between guards.
struct Target {
  std::vector<std::uint8_t> memory;
  explicit Target(std::size_t bytes) : memory(bytes + 2 * kMargin, kGuard) {}
  std::uint8_t* start() { return memory.data() + kMargin; }
};

// Random integers of a layer, valid as weights must be: of our own networks, or with fractions.
struct Layer {
  std::vector<std::int8_t> weight;
  std::vector<std::int16_t> wide;
  std::vector<std::int32_t> bias, multiplier, factor, fraction, exponent;
  std::vector<float> scale;
  bool fractions, real;
  int residual_zero, zero, low, high;

  Layer(Random& random, int outputs, std::size_t inputs, bool may_be_real, bool residual, bool with_fractions)
      : fractions(with_fractions), real(!fractions && may_be_real && random.between(0, 3) == 0) {
    if (fractions) draw_fractions(random, outputs, inputs);
    const int limit = inputs > 500 ? 50 : random.one_of({127, 127, 20});
    weight = random.integers<std::int8_t>(outputs * inputs, -limit, limit);
    bias = random.integers<std::int32_t>(outputs, -60000, 60000);
    const bool any = random.between(0, 1);  // any multiplier, or one whose results are not all at the ends
    for (int i = 0; i < outputs; ++i)
      multiplier.push_back(any ? random.one_of({1, 1 << 22, 1 << 21, random.between(1, 1 << 22)})
                               : static_cast<int>((1 << 22) / (inputs * random.between(20, 60) + 1)) + 1);
    scale = std::vector<float>(outputs);
    for (float& s : scale) s = static_cast<float>(random.between(1, 1000)) / 12345.0f;
    if (residual && !real && !fractions) factor = random.integers<std::int32_t>(outputs, 1, random.one_of({100, 32767}));
    const bool plain = random.between(0, 1);
    residual_zero = random.between(0, 255), zero = plain ? 0 : random.between(0, 255);
    low = plain ? 0 : random.one_of({0, zero}), high = plain ? 255 : random.between(low, 255);
  }

  // Weights that 8 bits hold, most of them, or any; multipliers that leave most results between the ends, or any.
  void draw_fractions(Random& random, int outputs, std::size_t inputs) {
    const int limit = random.one_of({100, 140, 255});
    wide = random.integers<std::int16_t>(outputs * inputs, -limit, limit);
    const int one = random.between(1 << 30, 2147483647);
    const bool same = random.between(0, 1), any = random.between(0, 3) == 0;
    const int spread = static_cast<int>(std::log2(std::sqrt(static_cast<double>(inputs)) * limit));
    for (int i = 0; i < outputs; ++i) {
      fraction.push_back(same ? one : random.one_of({random.between(1 << 30, 2147483647), 1 << 30, 2147483647}));
      exponent.push_back(any ? random.between(-31, 1) : same ? -spread : -random.between(spread - 1, spread + 3));
    }
    if (any && outputs > 1) fraction[1] = exponent[1] = 0;
  }

  Constants constants() const {
    return {.weight = fractions ? nullptr : weight.data(),
            .wide = fractions ? wide.data() : nullptr,
            .bias = bias.data(),
            .multiplier = real || fractions ? nullptr : multiplier.data(),
            .scale = real ? scale.data() : nullptr,
            .fraction = fractions ? fraction.data() : nullptr,
            .exponent = fractions ? exponent.data() : nullptr,
            .factor = factor.empty() ? nullptr : factor.data(),
            .residual_zero = residual_zero,
            .zero = zero,
            .low = low,
            .high = high};
  }
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
    const ProductWeights packed(layer.constants(), outputs, inputs, kernel, image, kernels.lanes);
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
    const DepthwiseWeights packed(layer.constants(), channels, kernel, kernels.lanes);
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
  std::vector<std::uint8_t> source;
  explicit Emit(unsigned seed)
      : random(seed), width(16 * random.between(1, 4)), channels(random.between(1, width)), pixels(random.between(1, 60)),
        source(random.bytes(static_cast<std::size_t>(pixels) * width)) {}

  Target run(const i8::Kernels& kernels) const {
    const long plane = pixels + 5;
    Target target(static_cast<std::size_t>(channels * plane) * 4);
    kernels.emit({.source = source.data(),
                  .width = width,
                  .channels = channels,
                  .pixels = pixels,
                  .zero = 131,
                  .scale = 0.0123f,
                  .target = reinterpret_cast<float*>(target.start()),
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

// The definition in words: to the nearest integer, halves to the even one.
void rounding() {
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const int sum = random.between(-(1 << 24) + 1, (1 << 24) - 1), k = i % 2 ? random.between(1, 1 << 22) : 1 << random.between(0, 22);
    const double exact = static_cast<double>(sum) * k / (1 << 22);
    check(static_cast<double>(rounded(sum, k)) == std::nearbyint(exact), "rounding is to the nearest integer, halves to even");
  }
}

// Every sum of random multipliers and ranges: where the fused form is proved, it gives the byte of the fixed point; and it is
// proved for most. A quotient in words.
void proofs() {
  Random random(2);
  int proved = 0;
  for (int round = 0; round < 300; ++round) {
    const int exponent = random.between(-14, 3), zero = random.one_of({0, 255, random.between(0, 255)});
    const std::int64_t reach = std::int64_t{1} << std::min(20, random.between(8, 10) - exponent);
    const Scaling s{.fraction = random.one_of({random.between(1 << 30, 2147483647), 1 << 30, 2147483647}),
                    .exponent = exponent,
                    .least = -random.between(0, static_cast<int>(reach)),
                    .largest = random.between(0, static_cast<int>(reach)),
                    .low = -zero,
                    .high = random.between(0, 255 - zero)};
    const Fused form = fused(s);
    if (!form.proved) continue;
    ++proved;
    const auto byte = [&](std::int64_t y) { return std::min<std::int64_t>(std::max<std::int64_t>(y, s.low), s.high); };
    for (std::int64_t sum = s.least; sum <= s.largest; ++sum) {
      const auto x = static_cast<float>(sum);
      const float y = std::nearbyint(std::fma(x, form.scale, std::copysign(form.offset, x)));
      check(byte(static_cast<std::int64_t>(y)) == byte(fixed_point(sum, s.fraction, s.exponent)), "a proved form gives every byte");
    }
  }
  check(proved > 200, "most multipliers have a fused form, not " + std::to_string(proved));
  for (int a = -300; a <= 300; ++a)
    for (int b = 1; b < 20; ++b) check(divided(a, b) == std::llround(static_cast<double>(a) / b), "quotients: halves away from 0");
  for (int weight = -kMaxWide; weight <= kMaxWide; ++weight)
    check(part_of(weight, 0) + part_of(weight, 1) + part_of(weight, 2) == weight, "a weight is the sum of its parts");
}

template <class Make>
void refused(const char* what, Make make) {
  try {
    make();
  } catch (const std::invalid_argument&) {
    return;
  }
  check(false, std::string("weights are refused: ") + what);
}

void hostile() {
  const auto pack = [](auto change) {
    Random random(5);
    Layer layer(random, 20, 30, false, true, false);
    layer.factor = std::vector<std::int32_t>(20, 7);
    change(layer);
    const ProductWeights packed(layer.constants(), 20, 30, 1, false, 4);
  };
  const auto pack_fractions = [](auto change) {
    Random random(5);
    Layer layer(random, 20, 30, false, false, true);
    change(layer);
    const ProductWeights packed(layer.constants(), 20, 30, 1, false, 4);
  };
  pack([](Layer&) {});
  pack_fractions([](Layer&) {});
  refused("a weight past 255", [&] { pack_fractions([](Layer& l) { l.wide[77] = 256; }); });
  refused("a weight below -255", [&] { pack_fractions([](Layer& l) { l.wide[77] = -32768; }); });
  refused("a fraction below a half", [&] { pack_fractions([](Layer& l) { l.fraction[3] = (1 << 30) - 1; }); });
  refused("a negative fraction", [&] { pack_fractions([](Layer& l) { l.fraction[3] = -1; }); });
  refused("an exponent past 30", [&] { pack_fractions([](Layer& l) { l.exponent[3] = 31; }); });
  refused("an exponent below -31", [&] { pack_fractions([](Layer& l) { l.exponent[3] = -32; }); });
  refused("an exponent of nothing", [&] { pack_fractions([](Layer& l) { l.fraction[3] = 0, l.exponent[3] = 1; }); });
  refused("a sum past 2^31", [&] { pack_fractions([](Layer& l) { l.bias[19] = 2147483647; }); });
  refused("a sum past 2^31 as it is multiplied", [&] { pack_fractions([](Layer& l) { l.exponent[19] = 20, l.bias[19] = 1 << 20; }); });
  refused("-128", [&] { pack([](Layer& l) { l.weight[77] = -128; }); });
  refused("a multiplier of 0", [&] { pack([](Layer& l) { l.multiplier[3] = 0; }); });
  refused("a multiplier past 2^22", [&] { pack([](Layer& l) { l.multiplier[3] = (1 << 22) + 1; }); });
  refused("a sum past 2^24", [&] { pack([](Layer& l) { l.bias[19] = 1 << 24; }); });
  refused("a negative sum past 2^24", [&] { pack([](Layer& l) { l.bias[19] = -2147483647 - 1; }); });
  refused("a residual's factor of 0", [&] { pack([](Layer& l) { l.factor[0] = 0; }); });
  refused("a residual's factor past 15 bits", [&] { pack([](Layer& l) { l.factor[0] = 1 << 15; }); });
  refused("a zero point past a byte", [&] { pack([](Layer& l) { l.zero = 256; }); });
  refused("limits in the wrong order", [&] { pack([](Layer& l) { l.low = 9, l.high = 8; }); });
}

}  // namespace

int main() {
  rounding();
  proofs();
  hostile();
  compare_all("plain tiles", plain_tiles());
  for (const std::string& isa : available_isas()) compare_all(isa, kernels_for(isa).i8);
}
