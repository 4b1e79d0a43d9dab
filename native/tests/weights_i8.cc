// Integer constants: what packing refuses, the rounding of the reference against what it says in words, and the proof of fixed
// point with all sums.
#include "../core/fixed_point.h"
#include "../kernels/i8/reference.h"
#include "layer_i8.h"
#include "support.h"

namespace {

using namespace mobilenet;
using namespace mobilenet::i8;

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
    check(in_pass(weight, 0) + in_pass(weight, 1) + in_pass(weight, 2) == weight, "a weight is the sum of its passes");
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
    const ProductWeights packed(layer.constants(), 20, 30, 1, false, {.lanes = 4, .wide = false});
  };
  const auto pack_fractions = [](auto change) {
    Random random(5);
    Layer layer(random, 20, 30, false, false, true);
    change(layer);
    const ProductWeights packed(layer.constants(), 20, 30, 1, false, {.lanes = 4, .wide = false});
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
}
