#include "constants_i8.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

#include "../base/failure.h"
#include "fixed_point.h"

namespace mobilenet::i8 {
namespace {

constexpr std::int64_t kOne = std::int64_t{1} << kShift;
constexpr std::int64_t kMaxSum = (std::int64_t{1} << 24) - 1;
constexpr std::int64_t kMaxMagicSum = kOne - 1;
constexpr std::int64_t kMaxRounded = 32767 - 255;  // so that a zero point may be added in 16 bits

template <class Message>
void require(bool holds, int output, Message message) {
  if (!holds) fail_argument("int8 weights, output " + decimal(output) + ": " + std::string(message()));
}

// The least and the largest sum of an output, whatever the inputs.
struct Sums {
  std::int64_t least, largest;
  int least_weight = 0, largest_weight = 0;

  Sums(const Constants& c, int output, std::size_t inputs) : least(c.bias[output]), largest(least) {
    c.weight ? add(c.weight + output * inputs, inputs) : add(c.wide + output * inputs, inputs);
  }

 private:
  template <class Weight>
  void add(const Weight* weights, std::size_t count) {
    constexpr std::size_t piece = 1 << 16;  // whose sums 32 bits hold
    for (const Weight* end = weights + count; weights != end;) {
      const std::size_t some = std::min<std::size_t>(end - weights, piece);
      int negative = 0, positive = 0, low = 0, high = 0;  // locals, so that a compiler works on several weights at once
      for (std::size_t i = 0; i < some; ++i) {
        const int weight = weights[i];
        low = std::min(low, weight), high = std::max(high, weight);
        negative += std::min(weight, 0), positive += std::max(weight, 0);
      }
      least_weight = std::min(least_weight, low), largest_weight = std::max(largest_weight, high);
      least += std::int64_t{255} * negative, largest += std::int64_t{255} * positive;
      weights += some;
    }
  }
};

// Checks one output's integers in a network of our own. Returns the largest magnitude of its sum, whatever the inputs.
std::int64_t largest_sum(const Constants& c, int output, std::size_t inputs) {
  const Sums sums(c, output, inputs);
  std::int64_t low = sums.least, high = sums.largest;
  require(sums.least_weight >= -127, output, [] { return "a weight is -128; they are from -127 to 127"; });
  if (c.factor) {
    const std::int64_t factor = c.factor[output];
    require(factor >= 1 && factor < 1 << 15, output,
            [&] { return "residual factor " + decimal(factor) + ": must be 1 to 2^15 - 1"; });
    low -= factor * c.residual_zero, high += factor * (255 - c.residual_zero);
  }
  const std::int64_t largest = std::max(std::abs(low), std::abs(high));
  require(largest <= kMaxSum, output, [&] { return "sums reach " + decimal(largest) + "; they must stay below 2^24"; });
  if (c.multiplier)
    require(c.multiplier[output] >= 1 && c.multiplier[output] <= kOne, output,
            [&] { return "multiplier " + decimal(c.multiplier[output]) + ": must be 1 to 2^22"; });
  return largest;
}

// Checks the integers of a layer with fractions. Returns the fused form of each output's multiplier, proved or not.
std::vector<Fused> fused_forms(const Constants& c, int outputs, std::size_t inputs) {
  using Multiplier = std::pair<std::int32_t, std::int32_t>;
  std::map<Multiplier, Scaling> scalings;  // outputs with one multiplier are proved together
  for (int output = 0; output < outputs; ++output) {
    const Sums sums(c, output, inputs);
    const std::int32_t fraction = c.fraction[output], exponent = c.exponent[output];
    require(fraction == 0 ? exponent == 0 : fraction >= 1 << 30 && exponent >= -31 && exponent <= 30, output,
            [&] { return "multiplier " + decimal(fraction) + " * 2^(" + decimal(exponent) +
                         " - 31): must be from 2^-32 to 2^30, or 0"; });
    require(sums.least_weight >= -kMaxWide && sums.largest_weight <= kMaxWide, output, [] { return "a weight is past 255"; });
    const std::int64_t reach = std::max(-sums.least, sums.largest) << std::max<int>(exponent, 0);
    require(reach < std::int64_t{1} << 31, output,
            [&] { return "sums reach " + decimal(reach) + " as they are multiplied; they must stay below 2^31"; });
    Scaling& all = scalings.try_emplace({fraction, exponent}, Scaling{fraction, exponent, sums.least, sums.largest,
                                                                     c.low - c.zero, c.high - c.zero}).first->second;
    all.least = std::min(all.least, sums.least), all.largest = std::max(all.largest, sums.largest);
  }
  std::map<Multiplier, Fused> known;
  for (const auto& [multiplier, scaling] : scalings) known[multiplier] = fused(scaling);
  std::vector<Fused> forms;
  for (int output = 0; output < outputs; ++output) forms.push_back(known[{c.fraction[output], c.exponent[output]}]);
  return forms;
}

// Checks the integers of one panel of a network of our own.
Form form_of(const Constants& c, int first, int count, std::size_t inputs) {
  bool magic = !c.factor;
  for (int output = first; output < first + count; ++output) {
    const std::int64_t largest = largest_sum(c, output, inputs);
    magic = magic && c.multiplier && largest <= kMaxMagicSum && largest * c.multiplier[output] / kOne < kMaxRounded;
  }
  const bool plain = c.zero == 0 && c.low == 0 && c.high == 255;
  return !c.multiplier ? Form::real : !magic ? Form::general : plain ? Form::plain : Form::shifted;
}

}  // namespace

PanelConstants constants_of(const Constants& c, int channels, std::size_t inputs, const Slots& slots) {
  require(c.zero >= 0 && c.zero <= 255 && c.low >= 0 && c.low <= c.high && c.high <= 255, 0,
          [] { return "zero point and limits must be 0 to 255"; });
  require(c.residual_zero >= 0 && c.residual_zero <= 255, 0, [] { return "the residual's zero point must be 0 to 255"; });
  const int panels = panels_of(channels);
  const std::size_t bytes = static_cast<std::size_t>(panels) * kSlots * 4, of_fractions = c.fraction ? bytes : 0;
  const std::vector<Fused> fused = c.fraction ? fused_forms(c, channels, inputs) : std::vector<Fused>();
  PanelConstants made{.zero = c.zero, .low = c.low, .high = c.high, .forms = {},
                      .bias = Memory(bytes), .scale = Memory(bytes), .offset = Memory(bytes),
                      .fraction = Memory(of_fractions), .exponent = Memory(of_fractions)};
  for (int panel = 0; panel < panels; ++panel) {
    const int first = panel * kPanel, count = std::min(kPanel, channels - first);
    const auto proved = [](const Fused& f) { return f.proved; };
    if (c.fraction)
      made.forms.push_back(std::all_of(&fused[first], &fused[first] + count, proved) ? Form::proved : Form::fixed);
    else
      made.forms.push_back(form_of(c, first, count, inputs));
    const bool magic = made.forms.back() == Form::plain || made.forms.back() == Form::shifted;
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::size_t at = static_cast<std::size_t>(panel) * kSlots + slot;
      const int channel = slots[at], output = first + channel;
      std::int32_t& bias = made.bias.as<std::int32_t>()[at];
      float &scale = made.scale.as<float>()[at], &offset = made.offset.as<float>()[at];
      bias = magic ? kMagicBits : 0;
      if (channel < 0 || channel >= count) continue;  // the rest is 0
      bias += c.bias[output] - (c.factor ? c.factor[output] * c.residual_zero : 0);
      if (c.multiplier) {
        scale = static_cast<float>(c.multiplier[output]) / static_cast<float>(kOne);
        offset = static_cast<float>(3 * (kOne - c.multiplier[output]));
      } else if (c.scale) {
        scale = c.scale[output];
      } else {
        scale = fused[output].scale, offset = fused[output].offset;
        made.fraction.as<std::int32_t>()[at] = c.fraction[output], made.exponent.as<std::int32_t>()[at] = c.exponent[output];
      }
    }
  }
  return made;
}

}  // namespace mobilenet::i8
