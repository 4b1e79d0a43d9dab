#include "weights_i8.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

namespace mobilenet::i8 {
namespace {

constexpr std::int64_t kOne = std::int64_t{1} << kShift;
constexpr std::int64_t kMaxSum = (std::int64_t{1} << 24) - 1;
constexpr std::int64_t kMaxMagicSum = kOne - 1;
constexpr std::int64_t kMaxRounded = 32767 - 255;  // so that a zero point may be added in 16 bits

void require(bool holds, int output, const std::string& what) {
  if (!holds) throw std::invalid_argument("int8 weights, output " + std::to_string(output) + ": " + what);
}

// Checks one output's integers. Returns the largest magnitude of its sum, whatever the inputs.
std::int64_t largest_sum(const Constants& c, int output, std::size_t inputs) {
  std::int64_t low = c.bias[output], high = low;
  const std::int8_t* weight = c.weight + output * inputs;
  int least = 0;
  std::int64_t negative = 0, positive = 0;
  for (std::size_t i = 0; i < inputs; ++i) {
    least = std::min<int>(least, weight[i]);
    negative += std::min<int>(weight[i], 0), positive += std::max<int>(weight[i], 0);
  }
  low += 255 * negative, high += 255 * positive;
  require(least >= -127, output, "a weight is -128; they are from -127 to 127");
  if (c.factor) {
    const std::int64_t factor = c.factor[output];
    require(factor >= 1 && factor < 1 << 15, output, "residual factor " + std::to_string(factor) + ": must be 1 to 2^15 - 1");
    low -= factor * c.residual_zero, high += factor * (255 - c.residual_zero);
  }
  const std::int64_t largest = std::max(std::abs(low), std::abs(high));
  require(largest <= kMaxSum, output, "sums reach " + std::to_string(largest) + "; they must stay below 2^24");
  if (c.multiplier)
    require(c.multiplier[output] >= 1 && c.multiplier[output] <= kOne, output,
            "multiplier " + std::to_string(c.multiplier[output]) + ": must be 1 to 2^22");
  return largest;
}

// The constants of `channels` outputs. `place(slot)` is the channel of the panel whose constants stand in that slot, or -1.
template <class Place>
PanelConstants constants_of(const Constants& c, int channels, std::size_t inputs, Place place) {
  require(c.zero >= 0 && c.zero <= 255 && c.low >= 0 && c.low <= c.high && c.high <= 255, 0,
          "zero point and limits must be 0 to 255");
  require(c.residual_zero >= 0 && c.residual_zero <= 255, 0, "the residual's zero point must be 0 to 255");
  const int panels = panels_of(channels);
  const std::size_t bytes = static_cast<std::size_t>(panels) * kSlots * 4;
  PanelConstants made{.zero = c.zero, .low = c.low, .high = c.high, .forms = {},
                      .bias = Memory(bytes), .scale = Memory(bytes), .offset = Memory(bytes)};
  for (int panel = 0; panel < panels; ++panel) {
    const int first = panel * kPanel, count = std::min(kPanel, channels - first);
    bool magic = !c.factor;
    for (int output = first; output < first + count; ++output) {
      const std::int64_t largest = largest_sum(c, output, inputs);
      magic = magic && c.multiplier && largest <= kMaxMagicSum && largest * c.multiplier[output] / kOne < kMaxRounded;
    }
    const bool plain = c.zero == 0 && c.low == 0 && c.high == 255;
    made.forms.push_back(!c.multiplier ? Form::real : !magic ? Form::general : plain ? Form::plain : Form::shifted);
    for (int slot = 0; slot < kSlots; ++slot) {
      const int channel = place(panel, slot), output = first + channel;
      const bool used = channel >= 0 && channel < count;
      const std::int32_t start = used ? c.bias[output] - (c.factor ? c.factor[output] * c.residual_zero : 0) : 0;
      const std::size_t at = static_cast<std::size_t>(panel) * kSlots + slot;
      made.bias.as<std::int32_t>()[at] = start + (magic ? kMagicBits : 0);
      const std::int64_t k = used && c.multiplier ? c.multiplier[output] : 1;
      made.scale.as<float>()[at] =
          c.multiplier ? static_cast<float>(k) / static_cast<float>(kOne) : used ? c.scale[output] : 0.0f;
      made.offset.as<float>()[at] = static_cast<float>(3 * (kOne - k));
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

}  // namespace

ProductWeights::ProductWeights(const Constants& c, int outputs_, int inputs_, int kernel_, bool image_, int lanes_, Slab* slab)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), image(image_), real(!c.multiplier), residual(c.factor), lanes(lanes_) {
  const int taps = kernel * kernel, panels = panels_of(outputs), all_quads = full_panels() * (kPanel / 4) + quads();
  int places[2][kSlots];  // of a full panel and of the last
  for (int slot = 0; slot < kSlots; ++slot) {
    places[0][slot] = channel_in(slot, kPanel, lanes, real);
    places[1][slot] = channel_in(slot, panel_width(outputs, panels - 1), lanes, real);
  }
  const auto place = [&](int panel, int slot) { return places[panel == panels - 1][slot]; };
  constants = constants_of(c, outputs, static_cast<std::size_t>(inputs) * taps, place);
  factors = Memory(c.factor ? static_cast<std::size_t>(panels) * kSlots * 4 : 0);
  std::size_t bytes = 0;
  for (int panel = 0; panel < panels; ++panel) {
    offsets.push_back(bytes);
    for (int part = 0, width = panel_width(outputs, panel); part < width;) {
      const int channels = part_vectors(width - part, lanes) * lanes;
      bytes += static_cast<std::size_t>(taps) * all_quads * channels * 4;
      part += channels;
    }
  }
  weights = Memory(bytes, slab);
  for (int panel = 0; panel < panels; ++panel) {
    std::int8_t* packed = weights.as<std::int8_t>() + offsets[panel];
    const int width = panel_width(outputs, panel), count = std::min(kPanel, outputs - panel * kPanel);
    for (int slot = 0; slot < kSlots && c.factor; ++slot)
      if (const int channel = place(panel, slot); channel >= 0 && channel < count)
        factors.as<std::int32_t>()[panel * kSlots + slot] = c.factor[panel * kPanel + channel];
    for (int part = 0; part < width;) {
      const int vectors = part_vectors(width - part, lanes), channels = vectors * lanes;
      const long step = channels * 4L;  // from four inputs to the next
      for (int channel = 0; channel < channels && part + channel < count; ++channel) {
        const std::size_t output = static_cast<std::size_t>(panel) * kPanel + part + channel;
        const std::int8_t* from = c.weight + output * inputs * taps;
        std::int8_t* to = packed + slot_of(channel, vectors, lanes, real) * 4;
        for (int tap = 0; tap < taps; ++tap, to += all_quads * step)
          for (int k = 0; k < inputs; ++k) to[k / 4 * step + k % 4] = from[static_cast<std::size_t>(k) * taps + tap];
      }
      packed += taps * all_quads * step;
      part += channels;
    }
  }
}

DepthwiseWeights::DepthwiseWeights(const Constants& c, int channels_, int kernel_, int lanes_)
    : channels(channels_), kernel(kernel_), lanes(lanes_) {
  const int taps = kernel * kernel, panels = panels_of(channels), one = lanes * 4;  // bytes of a register
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
  require(c.multiplier && !c.factor, 0, "a depthwise convolution makes bytes and adds no residual");
  constants = constants_of(c, channels, taps, place);
  panel = kernel == 3 ? kPanel * 12 : static_cast<std::size_t>(taps) * kSlots;
  weights = Memory(panels * panel);
  for (int p = 0; p < panels; ++p) {
    const int first = p * kPanel, count = std::min(kPanel, channels - first);
    std::int8_t* packed = weights.as<std::int8_t>() + p * panel;
    for (int at = 0; at < kPanel; ++at) {
      const int channel = channel_at(p, at);
      if (channel >= count) continue;
      const std::int8_t* from = c.weight + static_cast<std::size_t>(first + channel) * taps;
      if (kernel != 3) {
        if (at == channel)
          for (int tap = 0; tap < taps; ++tap) packed[tap * kSlots + at] = from[tap];
        continue;
      }
      const int part = at / one, slot = slot_of(at % one, 4, lanes, false);
      for (int column = 0; column < 3; ++column)
        for (int row = 0; row < 3; ++row) packed[part * 12 * one + (column * one + slot) * 4 + row] = from[row * 3 + column];
    }
  }
}

}  // namespace mobilenet::i8
