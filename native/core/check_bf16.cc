#include "check_bf16.h"

#include "../base/failure.h"
#include "checks.h"
#include "image.h"

namespace mobilenet {
namespace {

using bf16::kWide;

struct Bf16Checker : Checks {
  const Buffer& either(int index, const char* role) const {
    const Buffer& buffer = any(index, role);
    require(buffer.number == Number::bf16 || buffer.number == Number::f32,
            [&] { return std::string(role) + " buffer " + decimal(index) + ": neither bfloat16 nor float32"; });
    return buffer;
  }

  // Panels of weights, or blocks of 32 channels.
  void blocks(const Span& b, int channels) const {
    const int count = (channels + kWide - 1) / kWide;
    require(b.from >= 0 && b.from <= b.to && b.to <= count,
            [&] { return "blocks " + decimal(b.from) + " to " + decimal(b.to) + ": there are " + decimal(count); });
  }

  template <class Ptr>
  void weights(const Ptr& w) const {
    require(w != nullptr, "no weights");
  }
};

}  // namespace

void check(const Program& program, const bf16::StemStep& s) {
  const Bf16Checker c{{program}};
  c.weights(s.weights);
  const Buffer& target = c.either(s.target, "target");
  c.window(s.window, s.weights->kernel);
  c.channels(target, s.weights->outputs, "target");
  c.rows(s.rows, target.height, "target");
  require(s.window.left <= (s.window.kernel - 1L) * s.window.dilation &&
              (target.width - 1L) * s.window.stride - s.window.left < program.width,
          "the stem's windows leave the image");
  require(program.width * sizeof(float) <= program.zero_bytes, "fewer zeros than a row of the image");
}

void check(const Program& program, const bf16::ProductStep& s) {
  const Bf16Checker c{{program}};
  c.weights(s.weights);
  const Buffer &source = c.of(s.source, "source", Number::bf16), &target = c.either(s.target, "target");
  c.window(s.window, s.weights->kernel);
  c.channels(source, s.weights->inputs, "source");
  c.channels(target, s.weights->outputs, "target");
  c.blocks(s.panels, s.weights->outputs);
  c.rows(s.rows, target.height, "target");
  if (s.window.is_product()) c.product(s.window, source, target);
  else c.columns(s.window, source, target);
  if (s.residual >= 0) c.addend(c.either(s.residual, "residual"), target);
}

void check(const Program& program, const bf16::DepthwiseStep& s) {
  const Bf16Checker c{{program}};
  c.weights(s.weights);
  const Buffer &source = c.either(s.source, "source"), &target = c.either(s.target, "target");
  c.window(s.window, s.weights->kernel);
  c.channels(source, s.weights->channels, "source");
  c.channels(target, s.weights->channels, "target");
  c.rows(s.rows, target.height, "target");
  c.blocks(s.blocks, source.channels);
  c.columns(s.window, source, target);
}

void check(const Program& program, const bf16::ExpandDepthwiseStep& s) {
  const Bf16Checker c{{program}};
  c.weights(s.expand), c.weights(s.depthwise);
  const Buffer &source = c.of(s.source, "source", Number::bf16), &ring = c.of(s.ring, "ring", Number::f32),
               &target = c.either(s.target, "target");
  require(s.expand->kernel == 1, "the expansion must be 1x1");
  c.window(s.window, s.depthwise->kernel);
  c.channels(source, s.expand->inputs, "source");
  require(s.expand->outputs == s.depthwise->channels, "expansion and depthwise differ in channels");
  c.channels(target, s.depthwise->channels, "target");
  require(ring.channels == s.expand->outputs || ring.channels >= kWide, "the ring is narrower than a panel");
  c.same_size(source, ring, "expansion");
  c.blocks(s.panels, s.expand->outputs);
  c.rows(s.expanded, ring.height, "ring");
  c.rows(s.rows, target.height, "target");
  c.columns(s.window, ring, target);
}

void check(const Program& program, const bf16::PooledProductStep& s) {
  const Bf16Checker c{{program}};
  c.weights(s.weights);
  const Buffer &source = c.of(s.source, "source", Number::bf16), &scratch = c.either(s.scratch, "scratch"),
               &target = c.either(s.target, "target");
  require(s.weights->kernel == 1, "the product before a pool must be 1x1");
  c.channels(source, s.weights->inputs, "source");
  c.channels(target, s.weights->outputs, "target");
  c.blocks(s.panels, s.weights->outputs);
  c.same_size(source, scratch, "product");
  require((scratch.channels == s.weights->outputs || scratch.channels >= kWide) && scratch.slots >= scratch.height &&
              !scratch.padded(),
          "the scratch must hold a panel of the whole image, without padding");
  require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
}

void check(const Program& program, const bf16::GlobalPoolStep& s) {
  const Bf16Checker c{{program}};
  const Buffer &source = c.either(s.source, "source"), &target = c.either(s.target, "target");
  c.channels(target, source.channels, "target");
  c.blocks(s.blocks, source.channels);
  require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
}

void check(const Program& program, const bf16::AddStep& s) {
  const Bf16Checker c{{program}};
  const Buffer &a = c.either(s.a, "first"), &b = c.either(s.b, "second"), &target = c.either(s.target, "target");
  c.channels(a, target.channels, "first");
  c.channels(b, target.channels, "second");
  c.same_size(a, target, "sum");
  c.same_size(b, target, "sum");
  c.rows(s.rows, target.height, "target");
  c.blocks(s.blocks, target.channels);
}

void check(const Program& program, const bf16::ResizeStep& s) {
  const Bf16Checker c{{program}};
  const Buffer &source = c.either(s.source, "source"), &target = c.either(s.target, "target");
  c.channels(target, source.channels, "target");
  c.rows(s.rows, target.height, "target");
}

void check(const Program& program, const bf16::ConcatStep& s) {
  const Bf16Checker c{{program}};
  const Buffer &source = c.either(s.source, "source"), &target = c.either(s.target, "target");
  c.same_size(source, target, "concatenation");
  require(s.channel >= 0 && s.channel <= target.channels - source.channels, "channels outside the target");
  c.rows(s.rows, target.height, "target");
}

void check(const Program& program, const bf16::EmitStep& s) {
  const Bf16Checker c{{program}};
  const Buffer& source = c.either(s.source, "source");
  require(s.output >= 0 && s.output < static_cast<int>(program.outputs.size()), "no such output");
  const Output& output = program.outputs[s.output];
  require(output.channels == source.channels && output.height == source.height && output.width == source.width,
          "output and buffer differ in shape");
  c.rows(s.rows, source.height, "source");
}

}  // namespace mobilenet
