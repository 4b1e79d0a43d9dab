// Integer weights from Python's arrays.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>

#include <optional>
#include <variant>

#include "../core/step_parts.h"
#include "../isa/isa.h"
#include "arguments.h"

namespace mobilenet {
namespace {

using namespace nanobind::literals;
using Weight = Array<const std::int8_t>;
using Integers = Array<const std::int32_t>;
using Factors = std::variant<Integers, Floats>;  // from sums to bytes, or to real numbers

struct Limits {
  int zero, low, high;
};

// A layer's integers, their shapes checked; what they may be is checked where they are packed.
struct Layer {
  i8::Constants constants;
  int outputs, inputs, kernel;

  Layer(const Weight& weight, const Integers& bias, const Factors& factors, const std::optional<Integers>& residual,
        int residual_zero, const Limits& limits) {
    require(weight.ndim() == 2 || (weight.ndim() == 4 && weight.shape(2) == weight.shape(3)),
            "weight " + shape_of(weight) + ": must be (out, in) or (out, in, kernel, kernel)");
    require(weight.size() > 0 && weight.size() < (std::size_t{1} << 31), "weight " + shape_of(weight) + ": empty or too large");
    const std::size_t side = weight.ndim() == 4 ? weight.shape(2) : 1;
    require(side <= kMaxKernel, "kernel " + std::to_string(side) + ": must be at most " + std::to_string(kMaxKernel));
    const auto one_each = [&](const auto& values, const char* what) {
      require(values.ndim() == 1 && values.shape(0) == weight.shape(0),
              std::string(what) + " " + shape_of(values) + ": must have one value for each output of weight " + shape_of(weight));
      return values.data();
    };
    const Integers* multiplier = std::get_if<Integers>(&factors);
    const Floats* scale = std::get_if<Floats>(&factors);
    constants = {.weight = weight.data(),
                 .bias = one_each(bias, "bias"),
                 .multiplier = multiplier ? one_each(*multiplier, "multiplier") : nullptr,
                 .scale = scale ? one_each(*scale, "scale") : nullptr,
                 .factor = residual ? one_each(*residual, "residual") : nullptr,
                 .residual_zero = residual_zero,
                 .zero = limits.zero,
                 .low = limits.low,
                 .high = limits.high};
    outputs = static_cast<int>(weight.shape(0)), inputs = static_cast<int>(weight.shape(1)), kernel = static_cast<int>(side);
  }
};

std::shared_ptr<i8::ProductWeights> product_weights(Weight weight, Integers bias, Factors factors,
                                                    std::optional<Integers> residual, int residual_zero, int zero, int low,
                                                    int high, bool image, const std::string& isa, Slab* slab) {
  const Layer layer(weight, bias, factors, residual, residual_zero, {zero, low, high});
  require(!image || layer.inputs == 3, "weight " + shape_of(weight) + ": an image has 3 channels");
  return std::make_shared<i8::ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, image,
                                              kernels_for(isa).i8.lanes, slab);
}

std::shared_ptr<i8::DepthwiseWeights> depthwise_weights(Weight weight, Integers bias, Integers multiplier, int zero, int low,
                                                        int high, const std::string& isa) {
  const Layer layer(weight, bias, multiplier, std::nullopt, 0, {zero, low, high});
  require(layer.inputs == 1, "weight " + shape_of(weight) + ": a depthwise weight is (channels, 1, kernel, kernel)");
  return std::make_shared<i8::DepthwiseWeights>(layer.constants, layer.outputs, layer.kernel, kernels_for(isa).i8.lanes);
}

}  // namespace

void bind_weights_i8(nb::module_& m) {
  nb::class_<i8::ProductWeights>(m, "IntegerProductWeights")
      .def(nb::new_(&product_weights), "weight"_a, "bias"_a, "factors"_a, "residual"_a.none(), "residual_zero"_a, "zero"_a,
           "low"_a, "high"_a, "image"_a, "isa"_a = "", "slab"_a = nb::none());
  nb::class_<i8::DepthwiseWeights>(m, "IntegerDepthwiseWeights")
      .def(nb::new_(&depthwise_weights), "weight"_a, "bias"_a, "multiplier"_a, "zero"_a, "low"_a, "high"_a, "isa"_a = "");
}

}  // namespace mobilenet
