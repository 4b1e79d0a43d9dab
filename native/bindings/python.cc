// The module `_core`. This folder alone knows Python: it checks shapes, releases the GIL and passes plain pointers to the core.
#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <variant>

#include "../core/checksum.h"
#include "../core/image.h"
#include "../core/preload.h"
#include "../core/program_file.h"
#include "../core/runner.h"
#include "../core/weights_file.h"
#include "../isa/isa.h"
#include "arguments.h"

using namespace nanobind::literals;

namespace mobilenet {
namespace {

using Result = Array<float>;
using GivenOutput = std::variant<Result, Array<std::uint8_t>>;  // real numbers, or the bytes that stand for them
using After = std::variant<const BatchNorm*, Floats>;  // what follows a layer's products: batch normalization or a bias

std::shared_ptr<BatchNorm> batch_norm(Floats gamma, Floats beta, Floats mean, Floats variance, double epsilon) {
  for (const Floats* part : {&gamma, &beta, &mean, &variance})
    require(part->ndim() == 1 && part->shape(0) == gamma.shape(0) && part->shape(0) < (std::size_t{1} << 31),
            "batch normalization " + shape_of(*part) + ": its parts must be (out,) each");
  return std::make_shared<BatchNorm>(gamma.data(), beta.data(), mean.data(), variance.data(), epsilon,
                                     static_cast<int>(gamma.shape(0)));
}

// A layer's constants, their sizes checked: a weight (outputs, inputs, kernel, kernel) or (outputs, inputs), and one value
// for each output of what follows.
struct Layer {
  Constants constants;
  int outputs, inputs, kernel;

  Layer(const Floats& weight, const After& after) {
    require(weight.ndim() == 2 || (weight.ndim() == 4 && weight.shape(2) == weight.shape(3)),
            "weight " + shape_of(weight) + ": must be (out, in) or (out, in, kernel, kernel)");
    require(weight.size() > 0 && weight.size() < (std::size_t{1} << 31), "weight " + shape_of(weight) + ": empty or too large");
    const std::size_t side = weight.ndim() == 4 ? weight.shape(2) : 1;
    require(side <= kMaxKernel, "kernel " + std::to_string(side) + ": must be at most " + std::to_string(kMaxKernel));
    const BatchNorm* const* norm = std::get_if<const BatchNorm*>(&after);
    if (norm) {
      require(*norm && (*norm)->bias.size() == weight.shape(0),
              "batch normalization: must have one value for each output of weight " + shape_of(weight));
      constants = {weight.data(), (*norm)->scale.data(), (*norm)->bias.data()};
    } else {
      const Floats& bias = std::get<Floats>(after);
      require(bias.ndim() == 1 && bias.shape(0) == weight.shape(0),
              "bias " + shape_of(bias) + ": must have one value for each output of weight " + shape_of(weight));
      constants = {weight.data(), nullptr, bias.data()};
    }
    outputs = static_cast<int>(weight.shape(0)), inputs = static_cast<int>(weight.shape(1)), kernel = static_cast<int>(side);
  }
};

std::shared_ptr<ProductWeights> product_weights(Floats weight, After after, int panel_blocks, const std::string& isa, Slab* slab) {
  const Layer layer(weight, after);
  require(panel_blocks >= 1 && panel_blocks <= 1024, "panel_blocks " + std::to_string(panel_blocks) + ": must be 1 to 1024");
  return std::make_shared<ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, panel_blocks,
                                          kernels_for(isa), slab);
}

std::shared_ptr<bf16::ProductWeights> bf16_product_weights(Floats weight, After after, Slab* slab) {
  const Layer layer(weight, after);
  return std::make_shared<bf16::ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, slab);
}

std::shared_ptr<DepthwiseWeights> depthwise_weights(Floats weight, After after) {
  const Layer layer(weight, after);
  require(layer.inputs == 1, "weight " + shape_of(weight) + ": a depthwise weight is (channels, 1, kernel, kernel)");
  return std::make_shared<DepthwiseWeights>(layer.constants, layer.outputs, layer.kernel);
}

std::shared_ptr<StemWeights> stem_weights(Floats weight, After after) {
  const Layer layer(weight, after);
  require(layer.inputs == kPlanes, "weight " + shape_of(weight) + ": a stem's weight is (out, 3, kernel, kernel)");
  return std::make_shared<StemWeights>(layer.constants, layer.outputs, layer.kernel);
}

std::pair<float, float> bounds_of(Floats values) {
  const Bounds both = bounds(values.data(), values.size());
  return {both.least, both.largest};
}

std::pair<std::uint64_t, std::uint64_t> checksum_of(Bytes bytes) {
  const Checksum both = checksum(bytes.data(), bytes.size());
  return {both.sum, both.of_sums};
}

void fill_planes(Bytes pixels, Floats levels, Result target) {
  require(levels.size() == kPlanes * kLevels, "levels " + shape_of(levels) + ": must be (3, 256)");
  require(pixels.size() == target.size() && pixels.size() % kPlanes == 0,
          "pixels " + shape_of(pixels) + ": must be 3 bytes for each pixel, and target " + shape_of(target) + " as many floats");
  planes(pixels.data(), static_cast<long>(pixels.size()) / kPlanes, levels.data(), target.data());
}

using WeightsByName = std::map<std::string, Weights>;

std::shared_ptr<const Program> program_of(nb::bytes data, const WeightsByName& weights, const std::string& isa) {
  const auto find = [&](const Declaration& declared) {
    const auto place = weights.find(declared.name);
    require(place != weights.end(), "program: there are no weights called '" + declared.name + "'");
    return place->second;
  };
  return read_program(data.data(), data.size(), find, kernels_for(isa));
}

// As the C interface does it. The weights are copied to a cache line's boundary, and packed.
std::shared_ptr<const Program> linked(nb::bytes program, nb::bytes weights, const std::string& isa) {
  struct Linked {
    Memory bytes;  // which packed weights are used in
    std::unique_ptr<const Program> program;
  };
  auto linked = std::make_shared<Linked>();
  linked->bytes = Memory(weights.size());
  std::memcpy(linked->bytes.as<char>(), weights.data(), weights.size());
  const WeightsFile file(linked->bytes.as<char>(), weights.size());
  const Kernels& kernels = kernels_for(isa);
  Slab slab;
  const auto find = [&](const Declaration& declared) { return file.pack(declared, kernels, &slab); };
  linked->program = read_program(program.data(), program.size(), find, kernels);
  return {linked, linked->program.get()};
}

// Integer weights as they are written ahead: words, then arrays.
std::pair<std::vector<int>, std::vector<nb::bytes>> packed(const Weights& weights) {
  const PackedLayer layer = packed_layer(weights);
  std::vector<nb::bytes> arrays;
  for (const Memory* each : layer.arrays) arrays.emplace_back(each->as<char>(), each->bytes());
  return {layer.words, arrays};
}

// What they are packed for, as a word.
int packing_word(const std::string& isa) {
  const i8::Packing packing = kernels_for(isa).i8.packing;
  return packing.lanes | packing.wide << 8;
}

// A runner that one Python thread uses at a time; `busy` is read and written under Python's lock.
struct PythonRunner {
  Runner runner;
  bool busy = false;

  explicit PythonRunner(int threads) : runner(threads) {}

  void run(const Program& program, Floats images, std::vector<GivenOutput> outputs, nb::object seconds);
};

struct Busy {
  bool& flag;
  explicit Busy(bool& f) : flag(f) { flag = true; }
  ~Busy() { flag = false; }
};

void PythonRunner::run(const Program& program, Floats images, std::vector<GivenOutput> outputs, nb::object seconds) {
  const std::size_t image = kPlanes * static_cast<std::size_t>(program.height) * program.width;
  require(images.ndim() == 4 && images.shape(1) == kPlanes && images.shape(2) == static_cast<std::size_t>(program.height) &&
              images.shape(3) == static_cast<std::size_t>(program.width),
          "images " + shape_of(images) + ": the program takes (N, 3, " + std::to_string(program.height) + ", " +
              std::to_string(program.width) + ")");
  require(runner.threads() == program.threads, "the program is for " + std::to_string(program.threads) +
                                                   " threads, the runner has " + std::to_string(runner.threads()));
  require(outputs.size() == program.outputs.size(), "the program has " + std::to_string(program.outputs.size()) + " outputs");
  const std::size_t count = images.shape(0);
  std::vector<OutputPlace> start(outputs.size()), now(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::size_t size = program.outputs[i].size();
    const std::size_t given = std::visit([](const auto& array) { return array.size(); }, outputs[i]);
    require(count <= std::numeric_limits<std::size_t>::max() / size && given == count * size,
            "output " + std::to_string(i) + " has the wrong size");
    if (Result* real = std::get_if<Result>(&outputs[i]))
      start[i] = {real->data()};
    else
      start[i] = {nullptr, std::get<Array<std::uint8_t>>(outputs[i]).data()};
    require(start[i].real || program.outputs[i].bytes, "output " + std::to_string(i) + " is not made of bytes");
  }
  double* times = nullptr;
  if (!seconds.is_none()) {
    auto array = nb::cast<Array<double>>(seconds);
    require(array.size() >= static_cast<std::size_t>(program.labels), "seconds has fewer entries than the program labels");
    times = array.data();
  }
  require(!busy, "the runner is running already; each thread needs a runner of its own");
  const Busy running(busy);
  nb::gil_scoped_release unlocked;
  runner.prepare(program);
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::size_t done = n * program.outputs[i].size();
      now[i] = start[i].real ? OutputPlace{start[i].real + done} : OutputPlace{nullptr, start[i].bytes + done};
    }
    runner.run(program, images.data() + n * image, now.data(), times);
  }
}

}  // namespace
}  // namespace mobilenet

NB_MODULE(_core, m) {
  using namespace mobilenet;
  nb::set_leak_warnings(false);
  preload_code();
  m.doc() = "The native core: packed weights, programs, runners. See docs/engine.md.";
  m.def("isas", &available_isas, "Instruction sets this processor and this build have, slowest first.");
  m.def("isa", [](const std::string& name) { return std::string(kernels_for(name).name); }, "name"_a = "",
        "The instruction set that `name` selects; the best if it is empty.");

  m.def("bounds", &bounds_of, "values"_a, "The least and the largest of float32 values; both NaN if any is.");
  m.def("checksum", &checksum_of, "bytes"_a, "Two sums of 64 bits that tell whether bytes have changed by accident.");
  m.def("planes", &fill_planes, "pixels"_a, "levels"_a, "target"_a,
        "Planes of float32 from pixels of three bytes, each looked up in its color's 256 levels.");

  bind_answers(m);
  bind_images(m);

  nb::class_<BatchNorm>(m, "BatchNorm").def(nb::new_(&batch_norm), "gamma"_a, "beta"_a, "mean"_a, "variance"_a, "epsilon"_a);
  nb::class_<Slab>(m, "Slab").def(nb::init<>());
  nb::class_<ProductWeights>(m, "ProductWeights")
      .def(nb::new_(&product_weights), "weight"_a, "after"_a, "panel_blocks"_a, "isa"_a = "",
           "slab"_a = nb::none())
      .def_prop_ro("panels", [](const ProductWeights& w) { return w.panels.size(); })
      .def_prop_ro("bytes", [](const ProductWeights& w) { return w.weights.bytes(); });
  nb::class_<bf16::ProductWeights>(m, "Bf16ProductWeights")
      .def(nb::new_(&bf16_product_weights), "weight"_a, "after"_a, "slab"_a = nb::none())
      .def_prop_ro("bytes", [](const bf16::ProductWeights& w) { return w.weights.bytes(); });
  nb::class_<DepthwiseWeights>(m, "DepthwiseWeights").def(nb::new_(&depthwise_weights), "weight"_a, "after"_a);
  nb::class_<StemWeights>(m, "StemWeights").def(nb::new_(&stem_weights), "weight"_a, "after"_a);

  bind_weights_i8(m);

  nb::class_<Program>(m, "Program")
      .def(nb::new_(&program_of), "data"_a, "weights"_a, "isa"_a = "")
      .def_ro("threads", &Program::threads)
      .def_ro("height", &Program::height)
      .def_ro("width", &Program::width)
      .def_prop_ro("outputs",
                   [](const Program& p) {
                     std::vector<std::tuple<int, int, int>> shapes;
                     for (const Output& o : p.outputs) shapes.emplace_back(o.channels, o.height, o.width);
                     return shapes;
                   })
      .def_ro("labels", &Program::labels);

  m.def("packed", &packed, "weights"_a, "Integer weights as they are written ahead: words, then arrays.");
  m.def("packing", &packing_word, "isa"_a, "What the integers of an instruction set are packed for, as a word.");
  m.def("linked", &linked, "program"_a, "weights"_a, "isa"_a = "", "The program of two files that `mobilenet export --to c` writes.");

  nb::class_<PythonRunner>(m, "Runner")
      .def("__init__",
           [](PythonRunner* r, int threads) {
             require(threads >= 1 && threads <= 256, "threads " + std::to_string(threads) + ": must be 1 to 256");
             new (r) PythonRunner(threads);
           },
           "threads"_a)
      .def("run", &PythonRunner::run, "program"_a, "images"_a, "outputs"_a, "seconds"_a = nb::none())
      .def_prop_ro("arena_bytes", [](const PythonRunner& r) { return r.runner.arena_bytes(); });
}
