// The bytes of a program: refused, or run inside its arena.
//
// Weights are packed as their names say: "kind outputs inputs kernel panel_blocks flags", so that a program needs no other file.
#include <map>

#include "../../native/core/runner.h"
#include "../../native/core/program_file.h"
#include "../../native/isa/isa.h"
#include "../../native/tests/layer_i8.h"
#include "support.h"

using namespace mobilenet;

namespace {

constexpr std::size_t kMaxWeights = 1 << 19;   // of a layer
constexpr std::size_t kMaxValues = 1 << 16;    // of the image, of an output
constexpr std::size_t kMaxArena = 1 << 23;     // larger ones are read, not run
constexpr std::int64_t kMaxWork = 1 << 22;     // rows times blocks of all steps: hostile programs may ask for minutes
constexpr int kMaxThreads = 3;

// Flags of integer weights.
constexpr int kImage = 1, kReal = 2, kResidual = 4, kFractions = 8;

// Integers that obey every rule, as far as the layer's size allows.
Weights pack_integers(bool depthwise, int outputs, int inputs, int kernel, int flags, const Kernels& kernels) {
  const std::size_t size = static_cast<std::size_t>(outputs) * inputs * kernel * kernel;
  i8::LayerIntegers layer;
  for (std::size_t i = 0; i < size; ++i) layer.weight.push_back(static_cast<std::int8_t>(static_cast<int>(i % 17) - 8));
  for (std::size_t i = 0; i < size; ++i) layer.wide.push_back(static_cast<std::int16_t>(static_cast<int>(i % 301) - 150));
  layer.bias.assign(outputs, 100), layer.multiplier.assign(outputs, 1 << 15), layer.scale.assign(outputs, 0.5f);
  layer.fraction.assign(outputs, 3 << 29), layer.exponent.assign(outputs, -8);
  layer.fractions = flags & kFractions, layer.real = !layer.fractions && (flags & kReal);
  if (!layer.fractions && (flags & kResidual)) layer.factor.assign(outputs, 50), layer.residual_zero = 9;
  layer.zero = 7, layer.high = 250;
  const i8::Constants constants = layer.constants();
  if (depthwise) return std::make_shared<i8::DepthwiseWeights>(constants, outputs, kernel, kernels.i8.packing);
  return std::make_shared<i8::ProductWeights>(constants, outputs, inputs, kernel, (flags & kImage) != 0, kernels.i8.packing);
}

Weights pack(const std::string& name, const Kernels& kernels) {
  int kind = 0, outputs = 0, inputs = 0, kernel = 0, panel_blocks = 0, flags = 0;
  const bool read =
      std::sscanf(name.c_str(), "%d %d %d %d %d %d", &kind, &outputs, &inputs, &kernel, &panel_blocks, &flags) >= 5;
  const bool small = read && outputs > 0 && outputs < 2000 && inputs > 0 && inputs < 2000 && kernel > 0 && kernel <= 7 &&
                     static_cast<std::size_t>(outputs) * inputs * kernel * kernel <= kMaxWeights;
  if (!small || panel_blocks < 0 || panel_blocks > 1024) throw std::invalid_argument("no such weights");
  if (kind == 3 && (!(flags & kImage) || inputs == 3))
    return pack_integers(false, outputs, inputs, kernel, flags, kernels);
  if (kind == 4 && inputs == 1) return pack_integers(true, outputs, inputs, kernel, flags, kernels);
  const std::vector<float> weight = values(static_cast<std::size_t>(outputs) * inputs * kernel * kernel), bias = values(outputs);
  const Constants constants{weight.data(), nullptr, bias.data()};
  if (kind == 0 && panel_blocks > 0)
    return std::make_shared<ProductWeights>(constants, outputs, inputs, kernel, panel_blocks, kernels);
  if (kind == 1 && inputs == 1) return std::make_shared<DepthwiseWeights>(constants, outputs, kernel);
  if (kind == 2 && inputs == 3) return std::make_shared<StemWeights>(constants, outputs, kernel);
  throw std::invalid_argument("no such weights");
}

const Weights& packed(const std::string& name, const Kernels& kernels) {
  static std::map<std::pair<const Kernels*, std::string>, Weights> known;
  if (known.size() > 500) known.clear();
  const auto key = std::make_pair(&kernels, name);
  const auto place = known.find(key);
  return place != known.end() ? place->second : known.emplace(key, pack(name, kernels)).first->second;
}

bool is_small(const Program& program) {
  const std::size_t image = std::size_t{3} * program.height * program.width;
  if (program.threads > kMaxThreads || program.arena_bytes > kMaxArena || image > kMaxValues || program.labels > 1000) return false;
  std::int64_t work = 0;
  for (const Output& output : program.outputs)
    if (output.size() > kMaxValues) return false;
  for (const Buffer& buffer : program.buffers)
    work = std::max(work, std::int64_t{buffer.channels} * buffer.height * buffer.width);
  std::size_t steps = 0;
  for (const auto& stage : program.stages)
    for (const auto& part : stage) steps += part.size();
  return work * static_cast<std::int64_t>(steps + 1) <= kMaxWork;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> isas = available_isas();
  const Kernels& kernels = kernels_for(isas[size / 4 % isas.size()]);
  std::unique_ptr<const Program> program;
  try {
    program = read_program(data, size, [&](const Declaration& declared) { return packed(declared.name, kernels); }, kernels);
  } catch (const std::invalid_argument&) {
    return 0;
  }
  if (!is_small(*program)) return 0;
  const std::vector<float> image = values(std::size_t{3} * program->height * program->width);
  std::vector<std::vector<float>> outputs;
  std::vector<std::vector<std::uint8_t>> bytes;
  std::vector<OutputPlace> places, byte_places;
  bool all_bytes = true;
  for (const Output& output : program->outputs) {
    places.push_back({outputs.emplace_back(output.size()).data()});
    byte_places.push_back({nullptr, bytes.emplace_back(output.size()).data()});
    all_bytes = all_bytes && output.bytes;
  }
  std::vector<double> seconds(program->labels);
  Runner runner(program->threads);  // a new one, whose arena is no larger than the program's
  runner.prepare(*program);
  runner.run(*program, image.data(), places.data(), seconds.data());
  if (all_bytes) runner.run(*program, image.data(), byte_places.data(), nullptr);
  return 0;
}

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

// Two mutations of three change a word as a number: most of a program is words, and most words are small.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (size < 8 || random() % 3 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::size_t words = size / 4;
  for (int i = 1 + random() % 3; i > 0; --i) {
    std::uint8_t* place = data + 4 * (random() % words);
    std::int64_t word = 0;
    std::int32_t narrow;
    std::memcpy(&narrow, place, 4);
    word = narrow;
    constexpr std::int64_t kOther[] = {0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 64, 1 << 15, (1 << 15) + 1, 1 << 20, -1, INT32_MAX, INT32_MIN};
    switch (random() % 6) {
      case 0: word += 1; break;
      case 1: word -= 1; break;
      case 2: word += random() % 2 ? 16 : -16; break;
      case 3: word = kOther[random() % std::size(kOther)]; break;
      case 4: word = random() % 2 ? word * 2 : word / 2; break;
      default: std::memcpy(&narrow, data + 4 * (random() % words), 4), word = narrow;
    }
    narrow = static_cast<std::int32_t>(word);
    std::memcpy(place, &narrow, 4);
  }
  return size;
}
