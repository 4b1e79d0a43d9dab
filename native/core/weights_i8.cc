#include "weights_i8.h"

#include <algorithm>
#include <cstring>

#include "../base/failure.h"

namespace mobilenet::i8 {
namespace {

// A part of a product's panel: channels whose sums a tile keeps in registers at a time.
struct Part {
  int first, vectors, channels;
};

std::vector<Part> parts_of(int width, int lanes) {
  std::vector<Part> parts;
  for (int first = 0; first < width; first += parts.back().channels) {
    const int vectors = part_vectors(width - first, lanes);
    parts.push_back({.first = first, .vectors = vectors, .channels = vectors * lanes});
  }
  return parts;
}

// The slots of a product's panels.
Slots product_slots(int outputs, int lanes, bool real) {
  Slots slots(static_cast<std::size_t>(panels_of(outputs)) * kSlots, -1);
  for (int panel = 0; panel < panels_of(outputs); ++panel)
    for (const Part& part : parts_of(panel_width(outputs, panel), lanes))
      for (int channel = 0; channel < part.channels; ++channel)
        slots[panel * kSlots + part.first + slot_of(channel, part.vectors, lanes, real)] = part.first + channel;
  return slots;
}

// Four inputs' weights of one output, at its place among the registers.
[[gnu::always_inline]] inline void put(const std::int8_t (&four)[4], std::int8_t* to, const Packing& packing) {
  if (!packing.wide) {
    std::memcpy(to, four, 4);
    return;
  }
  const auto pair = [](std::int8_t low, std::int8_t high) {
    return static_cast<std::uint32_t>(static_cast<std::uint16_t>(low)) | static_cast<std::uint32_t>(high) << 16;
  };
  const std::uint32_t even = pair(four[0], four[2]), odd = pair(four[1], four[3]);
  std::memcpy(to, &even, 4), std::memcpy(to + packing.bytes() / 2, &odd, 4);
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
          four[k] = in_pass(from[static_cast<std::size_t>(input + k) * taps + tap], 0);
      put(four, to, packing);
    }
}

}  // namespace

ProductWeights::ProductWeights(const Constants& c, int outputs_, int inputs_, int kernel_, bool image_, const Packing& packing_,
                               Slab* slab)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), image(image_), real(c.scale), residual(c.factor), packing(packing_) {
  const int lanes = packing.lanes, taps = kernel * kernel;
  const Slots slots = product_slots(outputs, lanes, real);
  constants = constants_of(c, outputs, static_cast<std::size_t>(inputs) * taps, slots);
  factors = Memory(c.factor ? slots.size() * 4 : 0);
  weights = Memory(set_offsets(), slab);
  for (int panel = 0; panel < panels_of(outputs); ++panel) {
    const int first = panel * kPanel, count = std::min(kPanel, outputs - first);
    for (int slot = 0; slot < kSlots && c.factor; ++slot)
      if (const int channel = slots[panel * kSlots + slot]; channel >= 0 && channel < count)
        factors.as<std::int32_t>()[panel * kSlots + slot] = c.factor[first + channel];
    std::int8_t* packed = weights.as<std::int8_t>() + offsets[panel];
    for (const Part& part : parts_of(panel_width(outputs, panel), lanes)) {
      const long step = static_cast<long>(part.vectors) * packing.bytes();  // from four inputs to the next
      for (int channel = 0; channel < part.channels && part.first + channel < count; ++channel) {
        const std::size_t from = static_cast<std::size_t>(first + part.first + channel) * inputs * taps;
        std::int8_t* to = packed + packing.place(slot_of(channel, part.vectors, lanes, real));
        c.weight ? pack_output(c.weight + from, inputs, taps, to, step, packing)
                 : pack_output(c.wide + from, inputs, taps, to, step, packing);
      }
      packed += taps * all_quads() * step;
    }
    pack_more(c, panel);
  }
}

ProductWeights::ProductWeights(int outputs_, int inputs_, int kernel_, bool image_, bool real_, bool residual_,
                               const Packing& packing_)
    : inputs(inputs_), outputs(outputs_), kernel(kernel_), image(image_), real(real_), residual(residual_), packing(packing_),
      more(panels_of(outputs_)), more_weights(panels_of(outputs_)) {}

std::size_t ProductWeights::set_offsets() {
  const std::size_t quads_of_taps = static_cast<std::size_t>(kernel) * kernel * all_quads();
  std::size_t bytes = 0;
  for (int panel = 0; panel < panels_of(outputs); ++panel) {
    offsets.push_back(bytes);
    for (const Part& part : parts_of(panel_width(outputs, panel), packing.lanes))
      bytes += quads_of_taps * part.vectors * packing.bytes();
  }
  return bytes;
}

void ProductWeights::pack_more(const Constants& c, int panel) {
  const int taps = kernel * kernel, count = std::min(kPanel, outputs - panel * kPanel);
  std::vector<More>& found = more.emplace_back();
  std::vector<std::int8_t>& packed = more_weights.emplace_back();
  if (!c.wide) return;
  const auto left = [&](int channel, int tap, int input, int pass) -> std::int8_t {
    if (channel >= count || input >= inputs) return 0;
    return in_pass(c.at((static_cast<std::size_t>(panel * kPanel + channel) * inputs + input) * taps + tap), pass);
  };
  std::vector<int> passes;  // of each found
  for (int pass = 1; pass < kMaxPasses; ++pass)
    for (int tap = 0; tap < taps; ++tap)
      for (int input = 0; input < inputs; input += 4) {
        bool any = false;
        for (int channel = 0; channel < count; ++channel)
          for (int k = 0; k < 4; ++k) any = any || left(channel, tap, input + k, pass);
        if (!any) continue;
        found.push_back({.tap = tap, .panel = input / kPanel, .quad = input % kPanel / 4});
        passes.push_back(pass);
      }
  for (const Part& part : parts_of(panel_width(outputs, panel), packing.lanes)) {
    const std::size_t step = static_cast<std::size_t>(part.vectors) * packing.bytes(), start = packed.size();
    packed.resize(start + found.size() * step);
    for (std::size_t i = 0; i < found.size(); ++i)
      for (int channel = 0; channel < part.channels; ++channel) {
        std::int8_t four[4];
        for (int k = 0; k < 4; ++k)
          four[k] = left(part.first + channel, found[i].tap, found[i].panel * kPanel + found[i].quad * 4 + k, passes[i]);
        const int slot = slot_of(channel, part.vectors, packing.lanes, real);
        put(four, packed.data() + start + i * step + packing.place(slot), packing);
      }
  }
}

DepthwiseWeights::DepthwiseWeights(int channels_, int kernel_, const Packing& packing_)
    : channels(channels_), kernel(kernel_), packing(packing_),
      panel(kernel_ == 3 ? kPanel * 12 : static_cast<std::size_t>(kernel_) * kernel_ * kSlots) {}

DepthwiseWeights::DepthwiseWeights(const Constants& c, int channels_, int kernel_, const Packing& packing_)
    : DepthwiseWeights(channels_, kernel_, packing_) {
  if (c.scale || c.factor) fail_argument("int8 weights: a depthwise convolution makes bytes and adds no residual");
  const int taps = kernel * kernel, panels = panels_of(channels);
  constants = constants_of(c, channels, taps, slots());
  for (int p = 0; p < panels; ++p) {
    passes.push_back(1);
    const std::size_t end = static_cast<std::size_t>(std::min((p + 1) * kPanel, channels)) * taps;
    for (std::size_t i = static_cast<std::size_t>(p) * kPanel * taps; i < end; ++i)
      while (passes.back() < kMaxPasses && in_pass(c.at(i), passes.back())) ++passes.back();
  }
  weights = Memory(weight_bytes());
  for (int pass = 0; pass < all_passes(); ++pass)
    for (int p = 0; p < panels; ++p) pack(c, p, pass, weights.as<std::int8_t>() + (pass * panels + p) * panel);
}

int DepthwiseWeights::channel_at(int p, int byte) const {
  const int width = panel_width(channels, p);
  return packing.lanes * 4 % width == 0 ? byte % width : byte;
}

Slots DepthwiseWeights::slots() const {
  const int one = packing.lanes * 4;  // channels whose bytes a register holds
  Slots slots(static_cast<std::size_t>(panels_of(channels)) * kSlots, -1);
  for (std::size_t i = 0; i < slots.size(); i += kSlots)
    for (int byte = 0; byte < kSlots; ++byte) {
      const int slot = kernel == 3 ? byte / one * one + slot_of(byte % one, 4, packing.lanes, false) : byte;
      slots[i + slot] = kernel == 3 ? channel_at(static_cast<int>(i / kSlots), byte) : byte;
    }
  return slots;
}

void DepthwiseWeights::pack(const Constants& c, int p, int pass, std::int8_t* packed) const {
  const int taps = kernel * kernel, one = packing.lanes * 4, first = p * kPanel, count = std::min(kPanel, channels - first);
  for (int byte = 0; byte < kPanel; ++byte) {
    const int channel = channel_at(p, byte);
    if (channel >= count) continue;
    const auto weight = [&](int tap) { return in_pass(c.at(static_cast<std::size_t>(first + channel) * taps + tap), pass); };
    if (kernel == 3) {
      std::int8_t* part = packed + byte / one * 12 * one;
      const int slot = slot_of(byte % one, 4, packing.lanes, false);
      for (int column = 0; column < 3; ++column)
        for (int row = 0; row < 3; ++row) part[(column * one + slot) * 4 + row] = weight(row * 3 + column);
    } else if (byte == channel) {
      for (int tap = 0; tap < taps; ++tap) packed[tap * kSlots + byte] = weight(tap);
    }
  }
}

}  // namespace mobilenet::i8
