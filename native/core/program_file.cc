#include "program_file.h"

#include <cstring>
#include <utility>

#include "../base/failure.h"
#include "check.h"
#include "image.h"
#include "reader.h"

namespace mobilenet {
namespace {

constexpr char kMagic[] = {'M', 'B', 'N', 'P'};

template <class T>
constexpr bool is_weights = false;
template <class T>
constexpr bool is_weights<std::shared_ptr<const T>> = true;

// Throws unless the weights are those that the file declares.
struct Agreement {
  using Kind = Declaration::Kind;
  const Declaration& declared;

  void operator()(const ProductWeightsPtr& w) const {
    agree(w, Kind::product, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel &&
             w->panel_blocks == declared.panel_blocks;
    });
  }
  void operator()(const DepthwiseWeightsPtr& w) const {
    agree(w, Kind::depthwise,
          [&] { return w->channels == declared.outputs && declared.inputs == 1 && w->kernel == declared.kernel; });
  }
  void operator()(const StemWeightsPtr& w) const {
    agree(w, Kind::stem,
          [&] { return w->outputs == declared.outputs && declared.inputs == kPlanes && w->kernel == declared.kernel; });
  }

  void operator()(const i8::ProductWeightsPtr& w) const {
    agree(w, Kind::product_i8, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel;
    });
  }
  void operator()(const i8::DepthwiseWeightsPtr& w) const {
    agree(w, Kind::depthwise_i8,
          [&] { return w->channels == declared.outputs && declared.inputs == 1 && w->kernel == declared.kernel; });
  }
  void operator()(const bf16::ProductWeightsPtr& w) const {
    agree(w, Kind::product_bf16, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel;
    });
  }

  template <class Ptr, class Same>
  void agree(const Ptr& weights, Kind kind, Same same) const {
    require(weights && kind == declared.kind && same(),
            [&] { return "the weights of '" + declared.name + "' are not those it was planned for"; });
  }
};

// Reads the fields of one step, by their types.
struct FieldReader {
  Reader& reader;
  const std::vector<Weights>& weights;

  template <class... Field>
  void operator()(Field&... field) {
    (read(field), ...);
  }

  void read(int& value) { value = reader.word(); }
  void read(float& value) { value = std::bit_cast<float>(reader.word()); }
  void read(Span& span) { span.from = reader.word(), span.to = reader.word(); }
  void read(Activation& activation) { activation = reader.one_of<Activation>(kActivations, "activation"); }
  void read(Corners& corners) { corners = reader.one_of<Corners>(kCorners, "corners"); }
  void read(i8::Rounding& rounding) { rounding = reader.one_of<i8::Rounding>(i8::kRoundings, "rounding"); }
  void read(i8::Blend& blend) { blend = reader.one_of<i8::Blend>(i8::kBlends, "blend"); }
  void read(i8::Rescale& r) { (*this)(r.rounding, r.factor, r.shift, r.source_zero, r.zero); }
  void read(i8::Term& t) { (*this)(t.zero, t.factor, t.shift); }
  void read(i8::Addition& a) { (*this)(a.rounding, a.a, a.b, a.sum); }
  void read(Window& w) { (*this)(w.kernel, w.stride, w.dilation, w.top, w.left); }
  template <class Ptr>
  void read(Ptr& pointer) {
    static_assert(is_weights<Ptr>);
    const int index = reader.word();
    require(index >= 0 && index < static_cast<int>(weights.size()),
            [&] { return "weights " + decimal(index) + " do not exist"; });
    const Ptr* found = std::get_if<Ptr>(&weights[index]);
    require(found, [&] { return "weights " + decimal(index) + " are of another kind"; });
    pointer = *found;
  }
};

template <std::size_t... Kinds>
Step read_step(FieldReader fields, std::index_sequence<Kinds...>) {
  const int kind = fields.reader.word();
  Step step;
  const auto read = [&]<std::size_t Kind>() {
    std::variant_alternative_t<Kind, Step> kinds_step{};
    kinds_step.fields(fields);
    step = std::move(kinds_step);
    return true;
  };
  const bool known = ((kind == static_cast<int>(Kinds) && read.template operator()<Kinds>()) || ...);
  require(known, [&] { return "step " + decimal(kind) + " is unknown"; });
  return step;
}

void read_head(Reader& reader) {
  require(std::memcmp(reader.take(4), kMagic, 4) == 0, "the bytes do not begin with its mark");
  const int version = reader.word(), packing = reader.word();
  require(version == kProgramVersion && packing == kPackingVersion,
          [&] { return "format " + decimal(version) + ", packing " + decimal(packing) + ": this build reads " +
              decimal(kProgramVersion) + " and " + decimal(kPackingVersion) + "; make the program again"; });
  for (int i = reader.count("layouts"); i > 0; --i) {
    const Layout layout = layout_of(reader.one_of<Number>(kNumbers, "number type"));
    const int itemsize = reader.word(), block = reader.word();
    require(itemsize == layout.itemsize && block == layout.block,
            [&] { return "planned for tensors of " + decimal(itemsize) + " bytes in blocks of " + decimal(block) +
                "; this build has " + decimal(layout.itemsize) + " and " + decimal(layout.block); });
  }
}

std::vector<Weights> read_weights(Reader& reader, const FindWeights& find) {
  std::vector<Weights> weights;
  for (int i = reader.count("weights"); i > 0; --i) {
    Declaration declared{};
    declared.kind = reader.one_of<Declaration::Kind>(Declaration::kKinds, "kind of weights");
    declared.outputs = reader.word(), declared.inputs = reader.word(), declared.kernel = reader.word();
    declared.panel_blocks = reader.word();
    declared.name = reader.name();
    weights.push_back(find(declared));
    std::visit(Agreement{declared}, weights.back());
  }
  return weights;
}

}  // namespace

std::unique_ptr<const Program> read_program(const void* bytes, std::size_t size, const FindWeights& find,
                                            const Kernels& kernels, std::vector<std::string>* outputs) {
  Reader reader("program", bytes, size);
  read_head(reader);
  const int threads = reader.word(), height = reader.word(), width = reader.word(), labels = reader.word();
  const std::int64_t arena = reader.long_word(), zeros = reader.long_word();
  auto program = std::make_unique<Program>(kernels, threads, height, width, labels, arena, zeros);
  for (int i = reader.count("borders"); i > 0; --i) {
    const int value = reader.word();
    program->border(static_cast<std::uint32_t>(value), reader.long_word());
  }
  const std::vector<Weights> weights = read_weights(reader, find);
  for (int i = reader.count("buffers"); i > 0; --i) {
    const Number number = reader.one_of<Number>(kNumbers, "number type");
    const std::int64_t offset = reader.long_word();
    int channels, rows, columns, slots, left, right, zero;
    FieldReader{reader, weights}(channels, rows, columns, slots, left, right, zero);
    program->buffer(number, offset, channels, rows, columns, slots, left, right, static_cast<std::uint32_t>(zero));
  }
  for (int i = reader.count("outputs"); i > 0; --i) {
    int channels, rows, columns;
    FieldReader{reader, weights}(channels, rows, columns);
    program->output(channels, rows, columns);
    std::string name = reader.name();
    if (outputs) outputs->push_back(std::move(name));
  }
  constexpr auto kinds = std::make_index_sequence<std::variant_size_v<Step>>();
  const int stages = reader.count("stages");
  for (int stage = 0; stage < stages; ++stage) {
    if (stage > 0) program->stage();
    for (int thread = 0; thread < threads; ++thread)
      for (int i = reader.count("steps"); i > 0; --i) {
        const int label = reader.word();
        program->add(thread, label, read_step({reader, weights}, kinds));
      }
  }
  require(reader.left() == 0, [&] { return decimal(reader.left()) + " bytes follow its end"; });
  return program;
}

}  // namespace mobilenet
