// Integer weights from Python's arrays.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include <optional>
#include <utility>
#include <variant>

#include "../core/step_parts.h"
#include "../isa/isa.h"
#include "arguments.h"

namespace mobilenet {
namespace {

using namespace nanobind::literals;
using Narrow = Array<const std::int8_t>;
using Wide = Array<const std::int16_t>;
using Weight = std::variant<Narrow, Wide>;
using Integers = Array<const std::int32_t>;
using Fractions = std::pair<Integers, Integers>;                // with their exponents
using Factors = std::variant<Integers, Floats, Fractions>;  // from sums to bytes, or to real numbers, or to bytes

struct Limits {
  int zero, low, high;
};

// A layer's integers, their shapes checked; what they may be is checked where they are packed.
struct Layer {
  i8::Constants constants;
  int outputs, inputs, kernel;

  Layer(const Weight& weight, const Integers& bias, const Factors& factors, const std::optional<Integers>& residual,
        int residual_zero, const Limits& limits) {
    const Narrow* narrow = std::get_if<Narrow>(&weight);
    const Wide* wide = std::get_if<Wide>(&weight);
    narrow ? read_shape(*narrow) : read_shape(*wide);
    const auto one_each = [&](const auto& values, const char* what) {
      require(values.ndim() == 1 && values.shape(0) == static_cast<std::size_t>(outputs),
              std::string(what) + " " + shape_of(values) + ": must have one value for each of " + std::to_string(outputs) + " outputs");
      return values.data();
    };
    const Integers* multiplier = std::get_if<Integers>(&factors);
    const Floats* scale = std::get_if<Floats>(&factors);
    const Fractions* fractions = std::get_if<Fractions>(&factors);
    require(narrow || fractions, "weights of 16 bits come with fractions");
    require(!fractions || !residual, "a residual comes without fractions");
    constants = {.weight = narrow ? narrow->data() : nullptr,
                 .wide = wide ? wide->data() : nullptr,
                 .bias = one_each(bias, "bias"),
                 .multiplier = multiplier ? one_each(*multiplier, "multiplier") : nullptr,
                 .scale = scale ? one_each(*scale, "scale") : nullptr,
                 .fraction = fractions ? one_each(fractions->first, "fraction") : nullptr,
                 .exponent = fractions ? one_each(fractions->second, "exponent") : nullptr,
                 .factor = residual ? one_each(*residual, "residual") : nullptr,
                 .residual_zero = residual_zero,
                 .zero = limits.zero,
                 .low = limits.low,
                 .high = limits.high};
  }

 private:
  template <class Values>
  void read_shape(const Values& weight) {
    require(weight.ndim() == 2 || (weight.ndim() == 4 && weight.shape(2) == weight.shape(3)),
            "weight " + shape_of(weight) + ": must be (out, in) or (out, in, kernel, kernel)");
    require(weight.size() > 0 && weight.size() < (std::size_t{1} << 31), "weight " + shape_of(weight) + ": empty or too large");
    const std::size_t side = weight.ndim() == 4 ? weight.shape(2) : 1;
    require(side <= kMaxKernel, "kernel " + std::to_string(side) + ": must be at most " + std::to_string(kMaxKernel));
    outputs = static_cast<int>(weight.shape(0)), inputs = static_cast<int>(weight.shape(1)), kernel = static_cast<int>(side);
  }
};

std::shared_ptr<i8::ProductWeights> product_weights(Weight weight, Integers bias, Factors factors,
                                                    std::optional<Integers> residual, int residual_zero, int zero, int low,
                                                    int high, bool image, const std::string& isa, Slab* slab) {
  const Layer layer(weight, bias, factors, residual, residual_zero, {zero, low, high});
  require(!image || layer.inputs == 3, "weight of " + std::to_string(layer.inputs) + " inputs: an image has 3 channels");
  return std::make_shared<i8::ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, image,
                                              kernels_for(isa).i8.packing, slab);
}

std::shared_ptr<i8::DepthwiseWeights> depthwise_weights(Weight weight, Integers bias, Factors factors, int zero, int low,
                                                        int high, const std::string& isa) {
  const Layer layer(weight, bias, factors, std::nullopt, 0, {zero, low, high});
  require(layer.inputs == 1, "a depthwise weight is (channels, 1, kernel, kernel)");
  return std::make_shared<i8::DepthwiseWeights>(layer.constants, layer.outputs, layer.kernel, kernels_for(isa).i8.packing);
}

}  // namespace

void bind_weights_i8(nb::module_& m) {
  nb::class_<i8::ProductWeights>(m, "IntegerProductWeights")
      .def(nb::new_(&product_weights), "weight"_a, "bias"_a, "factors"_a, "residual"_a.none(), "residual_zero"_a, "zero"_a,
           "low"_a, "high"_a, "image"_a, "isa"_a = "", "slab"_a = nb::none());
  nb::class_<i8::DepthwiseWeights>(m, "IntegerDepthwiseWeights")
      .def(nb::new_(&depthwise_weights), "weight"_a, "bias"_a, "factors"_a, "zero"_a, "low"_a, "high"_a, "isa"_a = "");
}

}  // namespace mobilenet
