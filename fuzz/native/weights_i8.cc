// Integers of any bits as a layer's weights: refused, or packed without leaving their memory.
#include "../../native/core/weights_i8.h"
#include "../../native/isa/isa.h"
#include "support.h"

using namespace mobilenet;

namespace {

// Four bytes each, of which `bits` count: random ones of 32 bits are nearly always past a limit.
std::vector<std::int32_t> integers(Input& input, std::size_t count, int bits, int least) {
  std::vector<std::int32_t> made(count);
  for (std::int32_t& value : made) {
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | static_cast<std::uint32_t>(input.byte());
    value = bits < 32 ? least + static_cast<std::int32_t>(word >> (32 - bits)) : static_cast<std::int32_t>(word);
  }
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> isas = available_isas();
  Input input(data, size);
  const int kind = input.byte(), outputs = 1 + input.byte() % 140, kernel = 1 + input.byte() % 7;
  const bool depthwise = kind & 1, image = kind & 2, real = kind & 4, residual = kind & 8, wild = kind & 16;
  const int inputs = depthwise ? 1 : image ? 3 : 1 + input.byte() % 140;
  const Kernels& kernels = kernels_for(isas[input.byte() % isas.size()]);
  const int zero = input.byte(), low = input.byte(), high = input.byte(), residual_zero = input.byte();
  const std::vector<std::int32_t> bias = integers(input, outputs, wild ? 32 : 16, -(1 << 15)),
                                  multiplier = integers(input, outputs, wild ? 32 : 21, 1),
                                  factor = integers(input, outputs, wild ? 32 : 12, 1);
  const std::vector<float> scale = input.floats(outputs);
  std::vector<std::int8_t> weight(static_cast<std::size_t>(outputs) * inputs * kernel * kernel);
  for (std::int8_t& value : weight) value = static_cast<std::int8_t>(input.byte());
  const i8::Constants constants{.weight = weight.data(), .bias = bias.data(), .multiplier = real ? nullptr : multiplier.data(),
                                .scale = real ? scale.data() : nullptr, .factor = residual ? factor.data() : nullptr,
                                .residual_zero = residual_zero, .zero = zero, .low = wild ? low : low / 2,
                                .high = wild ? high : 128 + high / 2};
  Slab slab;
  try {
    if (depthwise) i8::DepthwiseWeights(constants, outputs, kernel, kernels.i8.packing);
    else i8::ProductWeights(constants, outputs, inputs, kernel, image, kernels.i8.packing, kind & 32 ? &slab : nullptr);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
