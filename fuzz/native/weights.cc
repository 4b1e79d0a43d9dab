// Weights of any shape and of any bits, not-a-number included: folded and packed without leaving their memory.
#include "../../native/core/weights.h"
#include "../../native/isa/isa.h"
#include "support.h"

using namespace mobilenet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> isas = available_isas();
  Input input(data, size);
  const int kind = input.byte() % 3, outputs = 1 + input.byte() % 100;
  const int kernel = 1 + input.byte() % 7, inputs = kind == 0 ? 1 + input.byte() % 64 : kind == 1 ? 1 : 3;
  const int panel_blocks = 1 + input.byte() % 8, choice = input.byte();
  const Kernels& kernels = kernels_for(isas[choice % isas.size()]);
  const std::size_t count = static_cast<std::size_t>(outputs) * inputs * kernel * kernel;
  const std::vector<float> gamma = input.floats(outputs), beta = input.floats(outputs), mean = input.floats(outputs),
                           variance = input.floats(outputs), weight = input.floats(count);
  const Bounds both = bounds(weight.data(), count);
  expect(!(both.least > both.largest), "the least value is at most the largest");
  const BatchNorm norm(gamma.data(), beta.data(), mean.data(), variance.data(), 1e-3, outputs);
  const bool folded = choice & 64;
  const Constants constants{weight.data(), folded ? norm.scale.data() : nullptr, folded ? norm.bias.data() : beta.data()};
  Slab slab;
  if (kind == 0)
    ProductWeights(constants, outputs, inputs, kernel, panel_blocks, kernels, choice & 128 ? &slab : nullptr);
  else if (kind == 1)
    DepthwiseWeights(constants, outputs, kernel);
  else
    StemWeights(constants, outputs, kernel);
  return 0;
}
