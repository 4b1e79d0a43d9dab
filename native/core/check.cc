#include "check.h"

#include "check_bf16.h"
#include "check_i8.h"
#include "checks.h"
#include "../base/failure.h"

namespace mobilenet {

void refuse(const std::string& what) { fail_argument("program: " + what); }

namespace {

struct Checker : Checks {
  const Buffer& at(int index, const char* role) const { return of(index, role, Number::f32); }

  void panels(const Span& p, const ProductWeights& w) const {
    require(w.lanes == program.kernels.f32.lanes, "the weights are packed for another instruction set");
    require(p.from >= 0 && p.from <= p.to && p.to <= static_cast<int>(w.panels.size()),
            [&] { return "panels " + decimal(p.from) + " to " + decimal(p.to) + ": the weights have " +
                decimal(w.panels.size()); });
  }

  void blocks(const Span& b, const Buffer& buffer) const {
    require(b.from >= 0 && b.from <= b.to && b.to <= buffer.blocks(), "blocks outside the channels");
  }

  void operator()(const PadStep& s) const { rows(s.slots, any(s.target, "target").slots, "target"); }

  void operator()(const StemStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer& target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(target, s.weights->outputs, "target");
    rows(s.rows, target.height, "target");
    // Every window must overlap the image: the kernels read no further past its sides.
    require(s.window.left <= (s.window.kernel - 1L) * s.window.dilation &&
                (target.width - 1L) * s.window.stride - s.window.left < program.width,
            "the stem's windows leave the image");
    require(program.width * sizeof(float) <= program.zero_bytes, "fewer zeros than a row of the image");
  }

  void operator()(const ProductStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(source, s.weights->inputs, "source");
    channels(target, s.weights->outputs, "target");
    panels(s.panels, *s.weights);
    rows(s.rows, target.height, "target");
    if (s.window.is_product()) product(s.window, source, target);
    else columns(s.window, source, target);
    if (s.residual >= 0) addend(at(s.residual, "residual"), target);
  }

  void operator()(const DepthwiseStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    window(s.window, s.weights->kernel);
    channels(source, s.weights->channels, "source");
    channels(target, s.weights->channels, "target");
    rows(s.rows, target.height, "target");
    blocks(s.blocks, source);
    columns(s.window, source, target);
  }

  void operator()(const ExpandDepthwiseStep& s) const {
    require(s.expand != nullptr && s.depthwise != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &ring = at(s.ring, "ring"), &target = at(s.target, "target");
    require(s.expand->kernel == 1, "the expansion must be 1x1");
    window(s.window, s.depthwise->kernel);
    channels(source, s.expand->inputs, "source");
    require(s.expand->outputs == s.depthwise->channels, "expansion and depthwise differ in channels");
    channels(target, s.depthwise->channels, "target");
    require(ring.channels == s.expand->outputs || ring.blocks() >= s.expand->widest, "the ring is narrower than a panel");
    same_size(source, ring, "expansion");
    panels(s.panels, *s.expand);
    rows(s.expanded, ring.height, "ring");
    rows(s.rows, target.height, "target");
    columns(s.window, ring, target);
  }

  void operator()(const PooledProductStep& s) const {
    require(s.weights != nullptr, "no weights");
    const Buffer &source = at(s.source, "source"), &scratch = at(s.scratch, "scratch"), &target = at(s.target, "target");
    require(s.weights->kernel == 1, "the product before a pool must be 1x1");
    channels(source, s.weights->inputs, "source");
    channels(target, s.weights->outputs, "target");
    panels(s.panels, *s.weights);
    same_size(source, scratch, "product");
    require(scratch.blocks() >= s.weights->widest && scratch.slots >= scratch.height && !scratch.padded(),
            "the scratch must hold a panel of the whole image, without padding");
    require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
  }

  void operator()(const GlobalPoolStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    channels(target, source.channels, "target");
    blocks(s.blocks, source);
    require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
  }

  void operator()(const AddStep& s) const {
    const Buffer &a = at(s.a, "first"), &b = at(s.b, "second"), &target = at(s.target, "target");
    channels(a, target.channels, "first");
    channels(b, target.channels, "second");
    same_size(a, target, "sum");
    same_size(b, target, "sum");
    rows(s.rows, target.height, "target");
    blocks(s.blocks, target);
  }

  void operator()(const ResizeStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    channels(target, source.channels, "target");
    rows(s.rows, target.height, "target");
  }

  void operator()(const ConcatStep& s) const {
    const Buffer &source = at(s.source, "source"), &target = at(s.target, "target");
    same_size(source, target, "concatenation");
    require(s.channel >= 0 && s.channel <= target.channels - source.channels, "channels outside the target");
    rows(s.rows, target.height, "target");
  }

  void operator()(const EmitStep& s) const {
    const Buffer& source = at(s.source, "source");
    require(s.output >= 0 && s.output < static_cast<int>(program.outputs.size()), "no such output");
    const Output& output = program.outputs[s.output];
    require(output.channels == source.channels && output.height == source.height && output.width == source.width,
            "output and buffer differ in shape");
    rows(s.rows, source.height, "source");
  }

  template <class Other>
  void operator()(const Other& s) const { check(program, s); }  // of namespaces i8 and bf16
};

}  // namespace

void check(const Program& program, const Step& step) { std::visit(Checker{{program}}, step); }

}  // namespace mobilenet
