#include "weights_i8.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
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
  if (!holds) fail_argument("int8 weights, output " + std::to_string(output) + ": " + std::string(message()));
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
            [&] { return "residual factor " + std::to_string(factor) + ": must be 1 to 2^15 - 1"; });
    low -= factor * c.residual_zero, high += factor * (255 - c.residual_zero);
  }
  const std::int64_t largest = std::max(std::abs(low), std::abs(high));
  require(largest <= kMaxSum, output, [&] { return "sums reach " + std::to_string(largest) + "; they must stay below 2^24"; });
  if (c.multiplier)
    require(c.multiplier[output] >= 1 && c.multiplier[output] <= kOne, output,
            [&] { return "multiplier " + std::to_string(c.multiplier[output]) + ": must be 1 to 2^22"; });
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
            [&] { return "multiplier " + std::to_string(fraction) + " * 2^(" + std::to_string(exponent) +
                         " - 31): must be from 2^-32 to 2^30, or 0"; });
    require(sums.least_weight >= -kMaxWide && sums.largest_weight <= kMaxWide, output, [] { return "a weight is past 255"; });
    const std::int64_t reach = std::max(-sums.least, sums.largest) << std::max(exponent, 0);
    require(reach < std::int64_t{1} << 31, output,
            [&] { return "sums reach " + std::to_string(reach) + " as they are multiplied; they must stay below 2^31"; });
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

// The constants of `channels` outputs. `place(slot)` is the channel of the panel whose constants stand in that slot, or -1.
template <class Place>
PanelConstants constants_of(const Constants& c, int channels, std::size_t inputs, Place place) {
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
      const int channel = place(panel, slot), output = first + channel;
      const std::size_t at = static_cast<std::size_t>(panel) * kSlots + slot;
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

// The channel of a product's panel whose constants stand in `slot`.
int channel_in(int slot, int width, int lanes, bool real) {
  for (int part = 0; part < width;) {
    const int vectors = part_vectors(width - part, lanes);
    if (slot < part + vectors * lanes) {
      for (int channel = 0; channel < vectors * lanes; ++channel)
        if (slot_of(channel, vectors, lanes, real) == slot - part) return part + channel;
    }
    part += vectors * lanes;
  }
  return -1;
}

// Four inputs' weights of one output, at its place among the registers.
void put(const std::int8_t (&four)[4], std::int8_t* to, const Packing& packing) {
  if (!packing.wide) {
    std::memcpy(to, four, 4);
    return;
  }
  const std::int16_t even[] = {four[0], four[2]}, odd[] = {four[1], four[3]};
  std::memcpy(to, even, 4), std::memcpy(to + packing.bytes() / 2, odd, 4);
}

// One output's weights: [inputs][taps] -> [tap][four inputs], `step` bytes apart, the last four filled with zeros.
template <class Weight>
void pack_output(const Weight* from, int inputs, int taps, std::int8_t* to, long step, const Packing& packing) {
  for (int tap = 0; tap < taps; ++tap)
    for (int input = 0; input < inputs; input += 4, to += step) {
      std::int8_t four[4] = {};
      if (sizeof(Weight) == 1 && taps == 1 && input + 4 <= inputs)
        std::memcpy(four, from + input, 4);
      else
        for (int k = 0; k < 4 && input + k < inputs; ++k)
          four[k] = part_of(from[static_cast<std::size_t>(input + k) * taps + tap], 0);
      put(four, to, packing);
    }
}

}  // namespace

ProductWeights::ProductWeights(const Constants& c, int outputs_, int inputs_, int kernel_, bool image_, const Packing& packing_,
                               Slab* slab)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), image(image_), real(c.scale), residual(c.factor), packing(packing_) {
  const int lanes = packing.lanes, taps = kernel * kernel, panels = panels_of(outputs), all_quads = full_panels() * (kPanel / 4) + quads();
  int places[2][kSlots];  // of a full panel and of the last
  for (int slot = 0; slot < kSlots; ++slot) {
    places[0][slot] = channel_in(slot, kPanel, lanes, real);
    places[1][slot] = channel_in(slot, panel_width(outputs, panels - 1), lanes, real);
  }
  const auto place = [&](int panel, int slot) { return places[panel == panels - 1][slot]; };
  constants = constants_of(c, outputs, static_cast<std::size_t>(inputs) * taps, place);
  factors = Memory(c.factor ? static_cast<std::size_t>(panels) * kSlots * 4 : 0);
  weights = Memory(set_offsets(), slab);
  for (int panel = 0; panel < panels; ++panel) {
    std::int8_t* packed = weights.as<std::int8_t>() + offsets[panel];
    const int width = panel_width(outputs, panel), count = std::min(kPanel, outputs - panel * kPanel);
    for (int slot = 0; slot < kSlots && c.factor; ++slot)
      if (const int channel = place(panel, slot); channel >= 0 && channel < count)
        factors.as<std::int32_t>()[panel * kSlots + slot] = c.factor[panel * kPanel + channel];
    for (int part = 0; part < width;) {
      const int vectors = part_vectors(width - part, lanes), channels = vectors * lanes;
      const long step = static_cast<long>(vectors) * packing.bytes();  // from four inputs to the next
      for (int channel = 0; channel < channels && part + channel < count; ++channel) {
        const std::size_t from = (static_cast<std::size_t>(panel) * kPanel + part + channel) * inputs * taps;
        std::int8_t* to = packed + packing.place(slot_of(channel, vectors, lanes, real));
        c.weight ? pack_output(c.weight + from, inputs, taps, to, step, packing)
                 : pack_output(c.wide + from, inputs, taps, to, step, packing);
      }
      packed += taps * all_quads * step;
      part += channels;
    }
    pack_more(c, panel);
  }
}

ProductWeights::ProductWeights(int outputs_, int inputs_, int kernel_, bool image_, bool real_, bool residual_,
                               const Packing& packing_)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), image(image_), real(real_), residual(residual_), packing(packing_),
      more(panels_of(outputs_)), more_weights(panels_of(outputs_)) {}

std::size_t ProductWeights::set_offsets() {
  const int taps = kernel * kernel, all_quads = full_panels() * (kPanel / 4) + quads();
  std::size_t bytes = 0;
  for (int panel = 0; panel < panels_of(outputs); ++panel) {
    offsets.push_back(bytes);
    for (int part = 0, width = panel_width(outputs, panel); part < width;) {
      const int vectors = part_vectors(width - part, packing.lanes);
      bytes += static_cast<std::size_t>(taps) * all_quads * vectors * packing.bytes();
      part += vectors * packing.lanes;
    }
  }
  return bytes;
}

void ProductWeights::pack_more(const Constants& c, int panel) {
  const int taps = kernel * kernel, width = panel_width(outputs, panel), count = std::min(kPanel, outputs - panel * kPanel);
  std::vector<More>& found = more.emplace_back();
  std::vector<std::int8_t>& packed = more_weights.emplace_back();
  if (!c.wide) return;
  const auto left = [&](int channel, int tap, int input, int part) -> std::int8_t {
    if (channel >= count || input >= inputs) return 0;
    return part_of(c.at((static_cast<std::size_t>(panel * kPanel + channel) * inputs + input) * taps + tap), part);
  };
  std::vector<int> parts;  // of each found
  for (int part = 1; part < kMaxPasses; ++part)
    for (int tap = 0; tap < taps; ++tap)
      for (int input = 0; input < inputs; input += 4) {
        bool any = false;
        for (int channel = 0; channel < count; ++channel)
          for (int k = 0; k < 4; ++k) any = any || left(channel, tap, input + k, part);
        if (!any) continue;
        found.push_back({.tap = tap, .panel = input / kPanel, .quad = input % kPanel / 4});
        parts.push_back(part);
      }
  for (int first = 0; first < width;) {
    const int vectors = part_vectors(width - first, packing.lanes), channels = vectors * packing.lanes;
    const std::size_t step = static_cast<std::size_t>(vectors) * packing.bytes(), start = packed.size();
    packed.resize(start + found.size() * step);
    for (std::size_t i = 0; i < found.size(); ++i)
      for (int channel = 0; channel < channels; ++channel) {
        std::int8_t four[4];
        for (int k = 0; k < 4; ++k)
          four[k] = left(first + channel, found[i].tap, found[i].panel * kPanel + found[i].quad * 4 + k, parts[i]);
        put(four, packed.data() + start + i * step + packing.place(slot_of(channel, vectors, packing.lanes, real)), packing);
      }
    first += channels;
  }
}

DepthwiseWeights::DepthwiseWeights(int channels_, int kernel_, const Packing& packing_)
    : channels(channels_), kernel(kernel_), packing(packing_),
      panel(kernel_ == 3 ? kPanel * 12 : static_cast<std::size_t>(kernel_) * kernel_ * kSlots) {}

std::size_t DepthwiseWeights::weight_bytes() const {
  return *std::max_element(passes.begin(), passes.end()) * static_cast<std::size_t>(panels_of(channels)) * panel;
}

DepthwiseWeights::DepthwiseWeights(const Constants& c, int channels_, int kernel_, const Packing& packing_)
    : DepthwiseWeights(channels_, kernel_, packing_) {
  const int lanes = packing.lanes, taps = kernel * kernel, panels = panels_of(channels), one = lanes * 4;  // bytes of a register
  // The channel of the panel in position `at` of the registers of bytes, which hold narrow pixels several times.
  const auto channel_at = [&](int panel, int at) {
    const int width = panel_width(channels, panel);
    return one % width == 0 ? at % width : at;
  };
  const auto place = [&](int panel, int slot) {
    if (kernel != 3) return slot;
    const int in_part = slot % one;
    for (int at = 0; at < one; ++at)
      if (slot_of(at, 4, lanes, false) == in_part) return channel_at(panel, slot - in_part + at);
    return -1;
  };
  require(!c.scale && !c.factor, 0, [] { return "a depthwise convolution makes bytes and adds no residual"; });
  constants = constants_of(c, channels, taps, place);
  for (int p = 0; p < panels; ++p) {
    passes.push_back(1);
    const std::size_t end = static_cast<std::size_t>(std::min((p + 1) * kPanel, channels)) * taps;
    for (std::size_t i = static_cast<std::size_t>(p) * kPanel * taps; i < end; ++i)
      while (passes.back() < kMaxPasses && part_of(c.at(i), passes.back())) ++passes.back();
  }
  const int all_passes = *std::max_element(passes.begin(), passes.end());
  weights = Memory(weight_bytes());
  for (int pass = 0; pass < all_passes; ++pass)
    for (int p = 0; p < panels; ++p) {
      const int first = p * kPanel, count = std::min(kPanel, channels - first);
      std::int8_t* packed = weights.as<std::int8_t>() + (pass * panels + p) * panel;
      for (int at = 0; at < kPanel; ++at) {
        const int channel = channel_at(p, at);
        if (channel >= count) continue;
        const auto from = [&](int tap) { return part_of(c.at(static_cast<std::size_t>(first + channel) * taps + tap), pass); };
        if (kernel != 3) {
          if (at == channel)
            for (int tap = 0; tap < taps; ++tap) packed[tap * kSlots + at] = from(tap);
          continue;
        }
        const int part = at / one, slot = slot_of(at % one, 4, lanes, false);
        for (int column = 0; column < 3; ++column)
          for (int row = 0; row < 3; ++row) packed[part * 12 * one + (column * one + slot) * 4 + row] = from(row * 3 + column);
      }
    }
}

}  // namespace mobilenet::i8
