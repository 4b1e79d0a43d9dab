// The only file that knows Python. It checks shapes, releases the GIL, and hands plain pointers on.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <stdexcept>
#include <variant>

#include "../core/image.h"
#include "../core/preload.h"
#include "../core/runner.h"
#include "../isa/isa.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobilenet {
namespace {

using Array = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Result = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;
using After = std::variant<const BatchNorm*, Array>;  // what follows a layer's products: batch normalisation, or a bias
using Pair = std::pair<int, int>;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::invalid_argument(what);
}

template <class A>
std::string shape_of(const A& a) {
  std::string text = "(";
  for (std::size_t i = 0; i < a.ndim(); ++i) text += (i ? ", " : "") + std::to_string(a.shape(i));
  return text + ")";
}

std::shared_ptr<BatchNorm> batch_norm(Array gamma, Array beta, Array mean, Array variance, double epsilon) {
  for (const Array* part : {&gamma, &beta, &mean, &variance})
    require(part->ndim() == 1 && part->shape(0) == gamma.shape(0) && part->shape(0) < (std::size_t{1} << 31),
            "batch normalisation " + shape_of(*part) + ": its parts must be (out,) each");
  return std::make_shared<BatchNorm>(gamma.data(), beta.data(), mean.data(), variance.data(), epsilon,
                                     static_cast<int>(gamma.shape(0)));
}

// What a layer brings, its sizes checked: a weight (outputs, inputs, kernel, kernel) or (outputs, inputs), and a value of
// what follows for each output.
struct Layer {
  Constants constants;
  int outputs, inputs, kernel;

  Layer(const Array& weight, const After& after) {
    require(weight.ndim() == 2 || (weight.ndim() == 4 && weight.shape(2) == weight.shape(3)),
            "weight " + shape_of(weight) + ": must be (out, in) or (out, in, kernel, kernel)");
    require(weight.size() > 0 && weight.size() < (std::size_t{1} << 31), "weight " + shape_of(weight) + ": empty or too large");
    const std::size_t side = weight.ndim() == 4 ? weight.shape(2) : 1;
    require(side <= kMaxKernel, "kernel " + std::to_string(side) + ": must be at most " + std::to_string(kMaxKernel));
    const BatchNorm* const* norm = std::get_if<const BatchNorm*>(&after);
    if (norm) {
      require(*norm && (*norm)->bias.size() == weight.shape(0),
              "batch normalisation: must have one value for each output of weight " + shape_of(weight));
      constants = {weight.data(), (*norm)->scale.data(), (*norm)->bias.data()};
    } else {
      const Array& bias = std::get<Array>(after);
      require(bias.ndim() == 1 && bias.shape(0) == weight.shape(0),
              "bias " + shape_of(bias) + ": must have one value for each output of weight " + shape_of(weight));
      constants = {weight.data(), nullptr, bias.data()};
    }
    outputs = static_cast<int>(weight.shape(0)), inputs = static_cast<int>(weight.shape(1)), kernel = static_cast<int>(side);
  }
};

std::shared_ptr<ProductWeights> product_weights(Array weight, After after, int panel_blocks, const std::string& isa, Slab* slab) {
  const Layer layer(weight, after);
  require(panel_blocks >= 1 && panel_blocks <= 1024, "panel_blocks " + std::to_string(panel_blocks) + ": must be 1 to 1024");
  return std::make_shared<ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, panel_blocks,
                                          kernels_for(isa), slab);
}

std::shared_ptr<DepthwiseWeights> depthwise_weights(Array weight, After after) {
  const Layer layer(weight, after);
  require(layer.inputs == 1, "weight " + shape_of(weight) + ": a depthwise weight is (channels, 1, kernel, kernel)");
  return std::make_shared<DepthwiseWeights>(layer.constants, layer.outputs, layer.kernel);
}

std::shared_ptr<StemWeights> stem_weights(Array weight, After after) {
  const Layer layer(weight, after);
  require(layer.inputs == kPlanes, "weight " + shape_of(weight) + ": a stem's weight is (out, 3, kernel, kernel)");
  return std::make_shared<StemWeights>(layer.constants, layer.outputs, layer.kernel);
}

std::pair<float, float> bounds_of(Array values) {
  const Bounds found = bounds(values.data(), values.size());
  return {found.least, found.largest};
}

void fill_planes(Bytes pixels, Array levels, Result target) {
  require(levels.size() == kPlanes * kLevels, "levels " + shape_of(levels) + ": must be (3, 256)");
  require(pixels.size() == target.size() && pixels.size() % kPlanes == 0,
          "pixels " + shape_of(pixels) + ": must be 3 bytes for each pixel, and target " + shape_of(target) + " as many floats");
  planes(pixels.data(), static_cast<long>(pixels.size()) / kPlanes, levels.data(), target.data());
}

// Marks the runner as running; made and undone under Python's lock.
struct Busy {
  Runner& runner;
  explicit Busy(Runner& r) : runner(r) { runner.busy = true; }
  ~Busy() { runner.busy = false; }
};

void run(Runner& runner, const Program& program, Array images, std::vector<Result> outputs, nb::object seconds) {
  const std::size_t plane = static_cast<std::size_t>(program.height) * program.width;
  require(images.ndim() == 4 && images.shape(1) == 3 && images.shape(2) == static_cast<std::size_t>(program.height) &&
              images.shape(3) == static_cast<std::size_t>(program.width),
          "images " + shape_of(images) + ": the program takes (N, 3, " + std::to_string(program.height) + ", " +
              std::to_string(program.width) + ")");
  require(runner.threads() == program.threads, "the program is for " + std::to_string(program.threads) +
                                                   " threads, the runner has " + std::to_string(runner.threads()));
  require(outputs.size() == program.outputs.size(), "the program has " + std::to_string(program.outputs.size()) + " outputs");
  std::vector<float*> start(outputs.size()), now(outputs.size());
  std::vector<std::size_t> step(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Output& o = program.outputs[i];
    step[i] = static_cast<std::size_t>(o.channels) * o.height * o.width;
    require(outputs[i].size() == images.shape(0) * step[i], "output " + std::to_string(i) + " has the wrong size");
    start[i] = outputs[i].data();
  }
  double* times = nullptr;
  if (!seconds.is_none()) {
    auto array = nb::cast<nb::ndarray<double, nb::c_contig, nb::device::cpu>>(seconds);
    require(array.size() >= static_cast<std::size_t>(program.labels), "seconds has fewer entries than the program labels");
    times = array.data();
  }
  require(!runner.busy, "the runner is running already; each thread needs a runner of its own");
  const Busy busy(runner);
  program.seal();
  nb::gil_scoped_release unlocked;
  runner.prepare(program);
  for (std::size_t n = 0; n < images.shape(0); ++n) {
    for (std::size_t i = 0; i < outputs.size(); ++i) now[i] = start[i] + n * step[i];
    runner.run(program, images.data() + n * 3 * plane, now.data(), times);
  }
}

struct Place {  // where a step runs, and what the plan calls it
  int thread, label;
};

Rows rows_of(Pair p) { return {p.first, p.second}; }
Panels panels_of(Pair p) { return {p.first, p.second}; }
Range range_of(std::pair<float, float> p) { return {p.first, p.second}; }

}  // namespace
}  // namespace mobilenet

NB_MODULE(_core, m) {
  using namespace mobilenet;
  nb::set_leak_warnings(false);
  preload_code();
  m.doc() = "The native core: packed weights, programs of typed steps, runners. See docs/engine.md.";
  m.attr("BLOCK") = kBlock;
  m.def("isas", &available_isas, "Instruction sets this processor and this build have, slowest first.");
  m.def("isa", [](const std::string& name) { return std::string(kernels_for(name).name); }, "name"_a = "",
        "The instruction set that `name` selects; the best where it is empty.");

  m.def("bounds", &bounds_of, "values"_a, "The least and the largest of float32 values; both NaN where one of them is.");
  m.def("planes", &fill_planes, "pixels"_a, "levels"_a, "target"_a,
        "Planes of float32 from pixels of three bytes, each looked up in its colour's 256 levels.");

  nb::class_<BatchNorm>(m, "BatchNorm").def(nb::new_(&batch_norm), "gamma"_a, "beta"_a, "mean"_a, "variance"_a, "epsilon"_a);
  nb::class_<Slab>(m, "Slab").def(nb::init<>());
  nb::class_<ProductWeights>(m, "ProductWeights")
      .def(nb::new_(&product_weights), "weight"_a, "after"_a, "panel_blocks"_a, "isa"_a = "",
           "slab"_a = nb::none())
      .def_prop_ro("panels", [](const ProductWeights& w) { return w.panels.size(); })
      .def_prop_ro("bytes", [](const ProductWeights& w) { return w.weights.bytes(); });
  nb::class_<DepthwiseWeights>(m, "DepthwiseWeights").def(nb::new_(&depthwise_weights), "weight"_a, "after"_a);
  nb::class_<StemWeights>(m, "StemWeights").def(nb::new_(&stem_weights), "weight"_a, "after"_a);
  nb::class_<Window>(m, "Window")
      .def("__init__", [](Window* w, int kernel, int stride, int dilation, int top,
                          int left) { new (w) Window{kernel, stride, dilation, top, left}; },
           "kernel"_a = 1, "stride"_a = 1, "dilation"_a = 1, "top"_a = 0, "left"_a = 0);
  nb::class_<Place>(m, "Place")
      .def("__init__", [](Place* p, int thread, int label) { new (p) Place{thread, label}; }, "thread"_a, "label"_a);

  nb::class_<Program>(m, "Program")
      .def("__init__",
           [](Program* p, const std::string& isa, int threads, int height, int width, std::int64_t floats,
              std::int64_t zeros) { new (p) Program(kernels_for(isa), threads, height, width, floats, zeros); },
           "isa"_a, "threads"_a, "height"_a, "width"_a, "arena_floats"_a, "zeros"_a)
      .def("buffer", &Program::buffer, nb::kw_only(), "offset"_a, "channels"_a, "height"_a, "width"_a, "slots"_a,
           "left"_a = 0, "right"_a = 0)
      .def("output", &Program::output, "channels"_a, "height"_a, "width"_a)
      .def("barrier", &Program::barrier)
      .def("pad",
           [](Program& p, Place at, int target, Pair slots) { p.add(at.thread, at.label, PadStep{target, rows_of(slots)}); },
           "at"_a, nb::kw_only(), "target"_a, "slots"_a)
      .def("stem",
           [](Program& p, Place at, StemWeightsPtr weights, Window window, int target, Pair rows, std::pair<float, float> range) {
             p.add(at.thread, at.label, StemStep{weights, window, target, rows_of(rows), range_of(range)});
           },
           "at"_a, nb::kw_only(), "weights"_a, "window"_a, "target"_a, "rows"_a, "range"_a)
      .def("product",
           [](Program& p, Place at, ProductWeightsPtr weights, Window window, int source, int target, int residual, Pair rows,
              Pair panels, std::pair<float, float> range) {
             p.add(at.thread, at.label,
                   ProductStep{weights, window, source, target, residual, rows_of(rows), panels_of(panels), range_of(range)});
           },
           "at"_a, nb::kw_only(), "weights"_a, "window"_a, "source"_a, "target"_a, "residual"_a = -1, "rows"_a, "panels"_a,
           "range"_a)
      .def("depthwise",
           [](Program& p, Place at, DepthwiseWeightsPtr weights, Window window, int source, int target, Pair rows, Pair blocks,
              std::pair<float, float> range) {
             p.add(at.thread, at.label,
                   DepthwiseStep{weights, window, source, target, rows_of(rows), blocks.first, blocks.second, range_of(range), {}});
           },
           "at"_a, nb::kw_only(), "weights"_a, "window"_a, "source"_a, "target"_a, "rows"_a, "blocks"_a, "range"_a)
      .def("expand_depthwise",
           [](Program& p, Place at, ProductWeightsPtr expand, DepthwiseWeightsPtr depthwise, Window window, int source, int ring, int target,
              Pair expanded, Pair rows, Pair panels, std::pair<float, float> expand_range, std::pair<float, float> range) {
             p.add(at.thread, at.label,
                   ExpandDepthwiseStep{expand, depthwise, window, source, ring, target, rows_of(expanded), rows_of(rows),
                                       panels_of(panels), range_of(expand_range), range_of(range), {}});
           },
           "at"_a, nb::kw_only(), "expand"_a, "depthwise"_a, "window"_a, "source"_a, "ring"_a, "target"_a, "expanded"_a,
           "rows"_a, "panels"_a, "expand_range"_a, "range"_a)
      .def("product_pool",
           [](Program& p, Place at, ProductWeightsPtr weights, int source, int scratch, int target, Pair panels,
              std::pair<float, float> range) {
             p.add(at.thread, at.label, PooledProductStep{weights, source, scratch, target, panels_of(panels), range_of(range)});
           },
           "at"_a, nb::kw_only(), "weights"_a, "source"_a, "scratch"_a, "target"_a, "panels"_a, "range"_a)
      .def("pool",
           [](Program& p, Place at, int source, int target, Pair blocks) {
             p.add(at.thread, at.label, PoolStep{source, target, blocks.first, blocks.second});
           },
           "at"_a, nb::kw_only(), "source"_a, "target"_a, "blocks"_a)
      .def("add",
           [](Program& p, Place at, int a, int b, int target, Pair rows) {
             p.add(at.thread, at.label, AddStep{a, b, target, rows_of(rows)});
           },
           "at"_a, nb::kw_only(), "a"_a, "b"_a, "target"_a, "rows"_a)
      .def("resize",
           [](Program& p, Place at, int source, int target, bool align_corners, Pair rows) {
             p.add(at.thread, at.label, ResizeStep{source, target, align_corners, rows_of(rows), {}, {}});
           },
           "at"_a, nb::kw_only(), "source"_a, "target"_a, "align_corners"_a, "rows"_a)
      .def("concat",
           [](Program& p, Place at, int source, int target, int channel, Pair rows) {
             p.add(at.thread, at.label, ConcatStep{source, target, channel, rows_of(rows)});
           },
           "at"_a, nb::kw_only(), "source"_a, "target"_a, "channel"_a, "rows"_a)
      .def("emit",
           [](Program& p, Place at, int source, int output, Pair rows) {
             p.add(at.thread, at.label, EmitStep{source, output, rows_of(rows)});
           },
           "at"_a, nb::kw_only(), "source"_a, "output"_a, "rows"_a)
      .def_ro("threads", &Program::threads)
      .def_ro("labels", &Program::labels);

  nb::class_<Runner>(m, "Runner")
      .def("__init__",
           [](Runner* r, int threads) {
             require(threads >= 1 && threads <= 256, "threads " + std::to_string(threads) + ": must be 1 to 256");
             new (r) Runner(threads);
           },
           "threads"_a)
      .def("run", &run, "program"_a, "images"_a, "outputs"_a, "seconds"_a = nb::none())
      .def_prop_ro("arena_bytes", &Runner::arena_bytes);
}
