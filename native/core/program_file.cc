#include "program_file.h"

#include <bit>
#include <cstring>
#include <utility>

#include "check.h"
#include "image.h"

namespace mobilenet {
namespace {

constexpr char kMagic[] = {'M', 'B', 'N', 'P'};

template <class T>
constexpr bool is_weights = false;
template <class T>
constexpr bool is_weights<std::shared_ptr<const T>> = true;

// Walks through the bytes. Every read is checked; little-endian words of 32 bits on any machine.
class Reader {
 public:
  Reader(const void* bytes, std::size_t size) : at_(static_cast<const unsigned char*>(bytes)), left_(size) {}

  const unsigned char* take(std::size_t bytes) {
    require(bytes <= left_, "the bytes end too early");
    const unsigned char* taken = at_;
    at_ += bytes, left_ -= bytes;
    return taken;
  }

  int word() {
    const unsigned char* b = take(4);
    const std::uint32_t low = b[0] | std::uint32_t{b[1]} << 8, high = b[2] | std::uint32_t{b[3]} << 8;
    return static_cast<int>(low | high << 16);
  }

  std::int64_t long_word() {
    const std::uint64_t low = static_cast<std::uint32_t>(word()), high = static_cast<std::uint32_t>(word());
    return static_cast<std::int64_t>(low | high << 32);
  }

  // A number of items that follow, of at least a word each.
  int count(const char* what) {
    const int number = word();
    require(number >= 0 && static_cast<std::size_t>(number) <= left_ / 4,
            [&] { return std::string(what) + ": it ends too early"; });
    return number;
  }

  std::string name() {
    const int length = word();
    require(length >= 0 && static_cast<std::size_t>(length) <= left_, "a name: it ends too early");
    const auto* text = reinterpret_cast<const char*>(take((static_cast<std::size_t>(length) + 3) / 4 * 4));
    return std::string(text, length);
  }

  template <class Enum>
  Enum one_of(int values, const char* what) {
    const int value = word();
    require(value >= 0 && value < values,
            [&] { return std::string(what) + " " + std::to_string(value) + " is unknown"; });
    return static_cast<Enum>(value);
  }

  std::size_t left() const { return left_; }

 private:
  const unsigned char* at_;
  std::size_t left_;
};

// What the file says of one layer's weights; a runtime that packs them itself needs no more than this and the constants.
struct Declaration {
  enum class Kind { product, depthwise, stem, product_i8, depthwise_i8, product_bf16 } kind;
  static constexpr int kKinds = 6;
  int outputs, inputs, kernel, panel_blocks;
  std::string name;
};

// Throws unless the weights are those that the file declares.
struct Agreement {
  const Declaration& declared;

  void operator()(const ProductWeightsPtr& w) const {
    agree(w, Declaration::Kind::product, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel &&
             w->panel_blocks == declared.panel_blocks;
    });
  }
  void operator()(const DepthwiseWeightsPtr& w) const {
    agree(w, Declaration::Kind::depthwise,
          [&] { return w->channels == declared.outputs && declared.inputs == 1 && w->kernel == declared.kernel; });
  }
  void operator()(const StemWeightsPtr& w) const {
    agree(w, Declaration::Kind::stem,
          [&] { return w->outputs == declared.outputs && declared.inputs == kPlanes && w->kernel == declared.kernel; });
  }

  void operator()(const i8::ProductWeightsPtr& w) const {
    agree(w, Declaration::Kind::product_i8, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel;
    });
  }
  void operator()(const i8::DepthwiseWeightsPtr& w) const {
    agree(w, Declaration::Kind::depthwise_i8,
          [&] { return w->channels == declared.outputs && declared.inputs == 1 && w->kernel == declared.kernel; });
  }
  void operator()(const bf16::ProductWeightsPtr& w) const {
    agree(w, Declaration::Kind::product_bf16, [&] {
      return w->outputs == declared.outputs && w->inputs == declared.inputs && w->kernel == declared.kernel;
    });
  }

  template <class Ptr, class Same>
  void agree(const Ptr& weights, Declaration::Kind kind, Same same) const {
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
            [&] { return "weights " + std::to_string(index) + " do not exist"; });
    const Ptr* found = std::get_if<Ptr>(&weights[index]);
    require(found, [&] { return "weights " + std::to_string(index) + " are of another kind"; });
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
  require(known, [&] { return "step " + std::to_string(kind) + " is unknown"; });
  return step;
}

void read_head(Reader& reader) {
  require(std::memcmp(reader.take(4), kMagic, 4) == 0, "the bytes do not begin with its mark");
  const int version = reader.word(), packing = reader.word();
  require(version == kProgramVersion && packing == kPackingVersion,
          [&] { return "format " + std::to_string(version) + ", packing " + std::to_string(packing) + ": this build reads " +
              std::to_string(kProgramVersion) + " and " + std::to_string(kPackingVersion) + "; make the program again"; });
  for (int i = reader.count("layouts"); i > 0; --i) {
    const Layout layout = layout_of(reader.one_of<Number>(kNumbers, "number type"));
    const int itemsize = reader.word(), block = reader.word();
    require(itemsize == layout.itemsize && block == layout.block,
            [&] { return "planned for tensors of " + std::to_string(itemsize) + " bytes in blocks of " + std::to_string(block) +
                "; this build has " + std::to_string(layout.itemsize) + " and " + std::to_string(layout.block); });
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
    weights.push_back(find(declared.name));
    std::visit(Agreement{declared}, weights.back());
  }
  return weights;
}

}  // namespace

std::unique_ptr<const Program> read_program(const void* bytes, std::size_t size, const FindWeights& find,
                                            const Kernels& kernels) {
  Reader reader(bytes, size);
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
    (void)reader.name();  // for those who load the file
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
  require(reader.left() == 0, [&] { return std::to_string(reader.left()) + " bytes follow its end"; });
  return program;
}

}  // namespace mobilenet
