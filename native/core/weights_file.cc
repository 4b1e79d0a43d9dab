#include "weights_file.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "../base/failure.h"
#include "image.h"
#include "step_parts.h"

namespace mobilenet {
namespace {

constexpr char kMagic[] = {'M', 'B', 'N', 'W'};
constexpr std::size_t kAlignment = 64;  // of arrays

enum class Storage { float32, float16, int8, int16, packed };
constexpr int kStorages = 5;
enum class Factors { multiplier, scale, fractions };
constexpr int kFactors = 3;

float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) {  // fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13);
}

Reader opened(const void* bytes, std::size_t size) {
  Reader reader("weights", bytes, size);
  reader.require(reinterpret_cast<std::uintptr_t>(bytes) % 8 == 0, "the bytes must begin at a multiple of 8 in memory");
  reader.require(std::memcmp(reader.take(4), kMagic, 4) == 0, "the bytes do not begin with its mark");
  const int version = reader.word();
  reader.require(version == kWeightsVersion, [&] {
    return "format " + decimal(version) + ": this build reads " + decimal(kWeightsVersion) + "; export the model again";
  });
  return reader;
}

Card read_card(Reader& reader) {
  Card card{};
  const int packing = reader.word();
  card.packing = {.lanes = packing & 255, .wide = packing >> 8 != 0};
  reader.require(card.packing.lanes <= 16 && (card.packing.lanes & (card.packing.lanes - 1)) == 0 && packing >> 8 <= 1 && packing >= 0,
                 "the packing is unknown");
  reader.require(!packing || reader.aligned(kAlignment), "packed weights must begin at a multiple of 64 in memory");
  const int labels = reader.count("labels");
  card.labels.reserve(labels);
  for (int i = labels; i > 0; --i) card.labels.push_back(reader.text());
  for (int i = reader.count("texts"); i > 0; --i) {
    const char* key = reader.text();
    card.texts.emplace_back(key, reader.text());
  }
  card.preparation = read_preparation(reader);
  card.bytes = reader.position();
  return card;
}

}  // namespace

Card read_card(const void* bytes, std::size_t size) {
  Reader reader = opened(bytes, size);
  return read_card(reader);
}

WeightsFile::WeightsFile(const void* bytes, std::size_t size) {
  Reader reader = opened(bytes, size);
  packing_ = read_card(reader).packing;
  const int count = reader.count("layers");
  layers_.reserve(count);
  for (int i = count; i > 0; --i) layers_.push_back(read_layer(reader, packing_));
  reader.require(reader.left() == 0, [&] { return decimal(reader.left()) + " bytes follow its end"; });
}

WeightsFile::Layer WeightsFile::read_layer(Reader& reader, const i8::Packing& packing) {
  Layer layer{};
  layer.name = reader.text();
  layer.outputs = reader.word(), layer.inputs = reader.word(), layer.kernel = reader.word();
  const auto require = [&](bool holds, const char* what) {
    reader.require(holds, [&] { return "layer '" + std::string(layer.name) + "': " + what; });
  };
  constexpr std::int64_t most = (std::int64_t{1} << 31) - 1;
  require(layer.outputs >= 1 && layer.inputs >= 1 && layer.kernel >= 1 && layer.kernel <= kMaxKernel &&
              layer.outputs <= most / layer.kernel / layer.kernel / layer.inputs,
          "its size is out of range");
  const Storage storage = reader.one_of<Storage>(kStorages, "storage");
  const std::size_t all = layer.weights(), outputs = static_cast<std::size_t>(layer.outputs);
  layer.integer = storage != Storage::float32 && storage != Storage::float16;
  require((storage == Storage::packed) == (packing.lanes > 0), "some weights are packed and others are not");
  if (storage == Storage::packed) {
#ifdef MOBILENET_NO_PACKED
    reader.require(false, "packed weights are for small boards; export the model again");
#else
    layer.packed = read_packed(reader, layer, packing);
#endif
    return layer;
  }
  layer.wide = storage == Storage::int16, layer.half = storage == Storage::float16;
  if (!layer.integer) {
    if (layer.half)
      layer.weight = reader.array<std::uint16_t>(all, kAlignment);
    else
      layer.weight = reader.array<float>(all, kAlignment);
    layer.bias = reader.array<float>(outputs, kAlignment);
    return layer;
  }
  const Factors factors = reader.one_of<Factors>(kFactors, "factors");
  const bool residual = reader.word() != 0;
  layer.image = reader.word() != 0;
  require(!layer.wide || factors == Factors::fractions, "weights of 16 bits come with fractions");
  require(!residual || factors != Factors::fractions, "a residual comes without fractions");
  i8::Constants& c = layer.constants;
  c.residual_zero = reader.word(), c.zero = reader.word(), c.low = reader.word(), c.high = reader.word();
  const auto integers = [&] { return reader.array<std::int32_t>(outputs, kAlignment); };
  if (layer.wide)
    c.wide = reader.array<std::int16_t>(all, kAlignment);
  else
    c.weight = reader.array<std::int8_t>(all, kAlignment);
  c.bias = integers();
  switch (factors) {
    case Factors::multiplier: c.multiplier = integers(); break;
    case Factors::scale: c.scale = reader.array<float>(outputs, kAlignment); break;
    case Factors::fractions: c.fraction = integers(), c.exponent = integers(); break;
  }
  if (residual) c.factor = integers();
  return layer;
}

Weights WeightsFile::pack(const Declaration& declared, const Kernels& kernels, Slab* slab) const {
  for (const Layer& layer : layers_) {
    if (layer.name != declared.name) continue;
    using Kind = Declaration::Kind;
    const bool integer = declared.kind == Kind::product_i8 || declared.kind == Kind::depthwise_i8;
    if (layer.outputs != declared.outputs || layer.inputs != declared.inputs || layer.kernel != declared.kernel ||
        layer.integer != integer)
      fail_argument("weights: layer '" + declared.name + "' is not the one that the program was made for");
    if (packing_.lanes) {
      if (!(packing_ == kernels.i8.packing))
        fail_argument("weights: they are packed for another instruction set than " + std::string(kernels.name) +
                      "; MOBILENET_ISA=portable takes those for small boards");
      return layer.packed;
    }
    return integer ? pack_integers(layer, declared, kernels, slab) : pack_float(layer, declared, kernels, slab);
  }
  fail_argument("weights: there is no layer '" + declared.name + "', which the program reads; both must be of one model");
}

Weights WeightsFile::read_packed(Reader& reader, const Layer& layer, const i8::Packing& packing) {
  const bool depthwise = reader.word() != 0, real = reader.word() != 0, residual = reader.word() != 0, image = reader.word() != 0;
  const int panels = i8::panels_of(layer.outputs);
  const std::size_t slots = static_cast<std::size_t>(panels) * i8::kSlots;
  i8::PanelConstants constants{};
  constants.zero = reader.word(), constants.low = reader.word(), constants.high = reader.word();
  const bool fractions = reader.word() != 0;
  const auto byte = [](int value) { return value >= 0 && value <= 255; };
  bool right = byte(constants.zero) && byte(constants.low) && byte(constants.high) && (!depthwise || (layer.inputs == 1 && !real)) &&
               !(residual && (real || fractions || depthwise)) && (!image || layer.inputs == kPlanes);
  for (int panel = 0; panel < panels; ++panel) {
    const i8::Form form = reader.one_of<i8::Form>(6, "form");
    right = right && (form == i8::Form::real) == real && (form == i8::Form::fixed || form == i8::Form::proved) == fractions;
    constants.forms.push_back(form);
  }
  std::vector<int> passes;
  for (int panel = 0; panel < panels && depthwise; ++panel) {
    passes.push_back(reader.word());
    right = right && passes.back() >= 1 && passes.back() <= i8::kMaxPasses;
  }
  reader.require(right, [&] { return "layer '" + std::string(layer.name) + "': its packed constants contradict each other"; });
  const auto bytes = [&](std::size_t count) {
    return Memory(const_cast<std::uint8_t*>(reader.array<std::uint8_t>(count, kAlignment)), count);
  };
  constants.bias = bytes(slots * 4), constants.scale = bytes(slots * 4), constants.offset = bytes(slots * 4);
  if (fractions) constants.fraction = bytes(slots * 4), constants.exponent = bytes(slots * 4);
  if (depthwise) {
    auto made = std::make_shared<i8::DepthwiseWeights>(layer.outputs, layer.kernel, packing);
    made->passes = std::move(passes);
    made->weights = bytes(made->weight_bytes());
    made->constants = std::move(constants);
    return i8::DepthwiseWeightsPtr(made);
  }
  auto made = std::make_shared<i8::ProductWeights>(layer.outputs, layer.inputs, layer.kernel, image, real, residual, packing);
  made->weights = bytes(made->set_offsets());
  if (residual) made->factors = bytes(slots * 4);
  made->constants = std::move(constants);
  return i8::ProductWeightsPtr(made);
}

PackedLayer packed_layer(const Weights& weights) {
  const auto* product = std::get_if<i8::ProductWeightsPtr>(&weights);
  const auto* depthwise = std::get_if<i8::DepthwiseWeightsPtr>(&weights);
  if (!product && !depthwise) fail_argument("weights: only integers are packed ahead");
  const i8::PanelConstants& c = product ? (*product)->constants : (*depthwise)->constants;
  const bool fractions = c.fraction.bytes() > 0, residual = product && (*product)->residual;
  PackedLayer layer{.words = {depthwise != nullptr, product && (*product)->real, residual, product && (*product)->image, c.zero, c.low,
                              c.high, fractions},
                    .arrays = {&c.bias, &c.scale, &c.offset}};
  for (const i8::Form form : c.forms) layer.words.push_back(static_cast<int>(form));
  if (fractions) layer.arrays.insert(layer.arrays.end(), {&c.fraction, &c.exponent});
  if (depthwise) {
    layer.words.insert(layer.words.end(), (*depthwise)->passes.begin(), (*depthwise)->passes.end());
    layer.arrays.push_back(&(*depthwise)->weights);
    return layer;
  }
  for (const auto& more : (*product)->more)
    if (!more.empty()) fail_argument("weights: a product's weights have more than 8 bits, which are not packed ahead");
  layer.arrays.push_back(&(*product)->weights);
  if (residual) layer.arrays.push_back(&(*product)->factors);
  return layer;
}

Weights WeightsFile::pack_float(const Layer& layer, const Declaration& declared, const Kernels& kernels, Slab* slab) {
  std::vector<float> widened(layer.half ? layer.weights() : 0);
  for (std::size_t i = 0; i < widened.size(); ++i) widened[i] = from_half(static_cast<const std::uint16_t*>(layer.weight)[i]);
  const Constants constants{layer.half ? widened.data() : static_cast<const float*>(layer.weight), nullptr, layer.bias};
  if (!finite(constants.weight, layer.weights()) || !finite(layer.bias, static_cast<std::size_t>(layer.outputs)))
    fail_argument("weights: layer '" + declared.name + "' has a value that is not finite");
  switch (declared.kind) {
    case Declaration::Kind::depthwise: return std::make_shared<DepthwiseWeights>(constants, layer.outputs, layer.kernel);
    case Declaration::Kind::stem: return std::make_shared<StemWeights>(constants, layer.outputs, layer.kernel);
    case Declaration::Kind::product_bf16:
#ifdef MOBILENET_NO_BF16
      fail_argument("weights: layer '" + declared.name + "' is planned for bfloat16, which this build has not");
#else
      return std::make_shared<bf16::ProductWeights>(constants, layer.outputs, layer.inputs, layer.kernel, slab);
#endif
    default:
      if (declared.panel_blocks < 1 || declared.panel_blocks > 1024)
        fail_argument("weights: panels of " + decimal(declared.panel_blocks) + " blocks: must be 1 to 1024");
      return std::make_shared<ProductWeights>(constants, layer.outputs, layer.inputs, layer.kernel, declared.panel_blocks, kernels,
                                              slab);
  }
}

Weights WeightsFile::pack_integers(const Layer& layer, const Declaration& declared, const Kernels& kernels, Slab* slab) {
  if (declared.kind == Declaration::Kind::depthwise_i8)
    return std::make_shared<i8::DepthwiseWeights>(layer.constants, layer.outputs, layer.kernel, kernels.i8.packing);
  if (layer.image && layer.inputs != kPlanes) fail_argument("weights: layer '" + declared.name + "': an image has 3 channels");
  return std::make_shared<i8::ProductWeights>(layer.constants, layer.outputs, layer.inputs, layer.kernel, layer.image,
                                              kernels.i8.packing, slab);
}

}  // namespace mobilenet
