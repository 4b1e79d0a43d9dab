#include "check_i8.h"

#include <bit>
#include <cmath>

#include "../base/failure.h"
#include "checks.h"
#include "image.h"

namespace mobilenet::i8 {
namespace {

constexpr long kMaxPooled = 1L << 23;  // pixels: their sum stays below 2^31
constexpr int kMaxFactor = 1 << 25;  // of a rounding to even: times a sum of 2^31 it stays below 2^62
constexpr int kMaxShift = 62;
constexpr int kByteBits = 8;         // of a byte less a zero point, without its sign
constexpr int kTermBits = 29;        // of a fixed addition's terms and their sum
constexpr int kMaxAddFactor = 1 << 22;

struct Checker : Checks {
  const Buffer& bytes(int index, const char* role) const { return of(index, role, Number::u8); }

  void panels(const Span& p, int outputs) const {
    require(p.from >= 0 && p.from <= p.to && p.to <= panels_of(outputs),
            [&] { return "panels " + decimal(p.from) + " to " + decimal(p.to) + ": the weights have " +
                decimal(panels_of(outputs)); });
  }

  template <class Ptr>
  void weights(const Ptr& w) const {
    require(w != nullptr, "no weights");
    require(w->packing == program.kernels.i8.packing, "the weights are packed for another instruction set");
  }

  void columns(const Window& w, const Buffer& source, const Buffer& target) const {
    within_columns(w, source, target);
    const Border* border = program.border_of(source.zero);
    require(border && source.pitch_bytes() <= border->bytes, "no border of the source's zero point, or it is shorter than a row");
  }

  void zero_point(int zero) const {
    require(zero >= 0 && zero <= 255, [&] { return "zero point " + decimal(zero) + ": must be 0 to 255"; });
  }

  // What a sum of at most so many bits, and 31, is multiplied with: no product and no shift leaves 64 bits.
  void multiplier(Rounding rounding, int factor, int shift, int bits) const {
    const bool fits = rounding == Rounding::even    ? factor >= 0 && factor <= kMaxFactor && shift >= 1 && shift <= kMaxShift
                      : rounding == Rounding::fixed ? factor >= 0 && shift >= -31 && shift <= 31 - bits
                                                    : factor >= 1;
    require(fits, [&] { return "multiplier " + decimal(factor) + ", shift " + decimal(shift) + ": outside its range"; });
  }

  void rescale(const Rescale& r, int bits = kByteBits) const {
    multiplier(r.rounding, r.factor, r.shift, bits);
    zero_point(r.source_zero), zero_point(r.zero);
  }

  void pooled(const Buffer& source, const Buffer& target, const Rescale& mean) const {
    const long pixels = static_cast<long>(source.height) * source.width;
    require(pixels <= kMaxPooled, "too many pixels for one mean");
    rescale(mean, kByteBits + std::bit_width(static_cast<unsigned long>(pixels)));
    require(target.height == 1 && target.width == 1, "a pooled buffer is 1 x 1");
  }
};

}  // namespace

void check(const Program& program, const PixelStep& s) {
  const Checker c{{program}};
  const Buffer& target = c.of(s.target, "target", Number::pixels);
  require(target.height == program.height && target.width == program.width, "pixels: the buffer differs from the image in size");
  c.rows(s.rows, target.height, "target");
  require(s.rounding != Rounding::fixed, "pixels are not rounded in this way");
  for (int color = 0; color < kPlanes; ++color)
    require(std::isfinite(s.factor[color]) && std::isfinite(s.offset[color]), "factors and offsets must be finite");
}

void check(const Program& program, const ProductStep& s) {
  const Checker c{{program}};
  c.weights(s.weights);
  const Buffer& source = c.of(s.source, "source", s.weights->image ? Number::pixels : Number::u8);
  const Buffer& target = c.of(s.target, "target", s.weights->real ? Number::real : Number::u8);
  c.window(s.window, s.weights->kernel);
  c.channels(source, s.weights->inputs, "source");
  c.channels(target, s.weights->outputs, "target");
  c.panels(s.panels, s.weights->outputs);
  c.rows(s.rows, target.height, "target");
  if (s.window.is_product()) c.product(s.window, source, target);
  else c.columns(s.window, source, target);
  require(s.weights->residual == (s.residual >= 0), "a residual needs its factors among the weights, and they need it");
  if (s.residual >= 0) c.addend(c.bytes(s.residual, "residual"), target);
}

void check(const Program& program, const DepthwiseStep& s) {
  const Checker c{{program}};
  c.weights(s.weights);
  const Buffer &source = c.bytes(s.source, "source"), &target = c.bytes(s.target, "target");
  c.window(s.window, s.weights->kernel);
  c.channels(source, s.weights->channels, "source");
  c.channels(target, s.weights->channels, "target");
  c.rows(s.rows, target.height, "target");
  c.panels(s.panels, s.weights->channels);
  c.columns(s.window, source, target);
}

void check(const Program& program, const ExpandDepthwiseStep& s) {
  const Checker c{{program}};
  c.weights(s.expand), c.weights(s.depthwise);
  const Buffer& source = c.of(s.source, "source", s.expand->image ? Number::pixels : Number::u8);
  const Buffer &ring = c.bytes(s.ring, "ring"), &target = c.bytes(s.target, "target");
  require(s.expand->kernel == 1, "the expansion must be 1x1");
  require(!s.expand->real && !s.expand->residual, "an expansion makes bytes and adds no residual");
  c.window(s.window, s.depthwise->kernel);
  c.channels(source, s.expand->inputs, "source");
  require(s.expand->outputs == s.depthwise->channels, "expansion and depthwise differ in channels");
  c.channels(target, s.depthwise->channels, "target");
  require(ring.channels == s.expand->outputs || ring.channels >= kPanel, "the ring is narrower than a panel");
  c.same_size(source, ring, "expansion");
  c.panels(s.panels, s.expand->outputs);
  c.rows(s.expanded, ring.height, "ring");
  c.rows(s.rows, target.height, "target");
  c.columns(s.window, ring, target);
}

void check(const Program& program, const PooledProductStep& s) {
  const Checker c{{program}};
  c.weights(s.weights);
  const Buffer &source = c.bytes(s.source, "source"), &scratch = c.bytes(s.scratch, "scratch"),
               &target = c.bytes(s.target, "target");
  require(s.weights->kernel == 1 && !s.weights->image && !s.weights->real && !s.weights->residual,
          "the product before a pool must be 1x1, make bytes and add no residual");
  c.channels(source, s.weights->inputs, "source");
  c.channels(target, s.weights->outputs, "target");
  c.panels(s.panels, s.weights->outputs);
  c.same_size(source, scratch, "product");
  require((scratch.channels == s.weights->outputs || scratch.channels >= kPanel) && scratch.slots >= scratch.height &&
              !scratch.padded(),
          "the scratch must hold a panel of the whole image, without padding");
  c.pooled(source, target, s.mean);
}

void check(const Program& program, const GlobalPoolStep& s) {
  const Checker c{{program}};
  const Buffer &source = c.bytes(s.source, "source"), &target = c.bytes(s.target, "target");
  c.channels(target, source.channels, "target");
  c.panels(s.panels, source.channels);
  c.pooled(source, target, s.mean);
}

void check(const Program& program, const AddStep& s) {
  const Checker c{{program}};
  const Buffer &a = c.bytes(s.a, "first"), &b = c.bytes(s.b, "second"), &target = c.bytes(s.target, "target");
  c.channels(a, target.channels, "first");
  c.channels(b, target.channels, "second");
  c.same_size(a, target, "sum");
  c.same_size(b, target, "sum");
  c.rows(s.rows, target.height, "target");
  c.panels(s.panels, target.channels);
  require(s.by.rounding != Rounding::divided, "sums are not rounded in this way");
  for (const Term& term : {s.by.a, s.by.b, s.by.sum}) {
    c.zero_point(term.zero);
    if (s.by.rounding == Rounding::fixed)
      c.multiplier(Rounding::fixed, term.factor, term.shift, kTermBits);
    else
      require(term.factor >= 0 && term.factor < kMaxAddFactor, "a sum's factor is outside its range");
  }
}

void check(const Program& program, const ResizeStep& s) {
  const Checker c{{program}};
  const Buffer &source = c.bytes(s.source, "source"), &target = c.any(s.target, "target");
  require(target.number == Number::u8 || target.number == Number::real, "a resize makes bytes or real numbers");
  c.channels(target, source.channels, "target");
  c.rows(s.rows, target.height, "target");
  require(target.number == Number::u8 || s.blend == Blend::even, "a blend of this kind makes bytes");
  c.zero_point(s.zero), c.rescale(s.to);
}

void check(const Program& program, const ConcatStep& s) {
  const Checker c{{program}};
  const Buffer &source = c.bytes(s.source, "source"), &target = c.bytes(s.target, "target");
  c.same_size(source, target, "concatenation");
  require(s.channel >= 0 && s.channel <= target.channels - source.channels, "channels outside the target");
  c.rows(s.rows, target.height, "target");
  c.rescale(s.scale);
}

void check(const Program& program, const EmitStep& s) {
  const Checker c{{program}};
  const Buffer& source = c.any(s.source, "source");
  require(source.number == Number::u8 || source.number == Number::real, "only bytes and real numbers are written to an output");
  require(s.output >= 0 && s.output < static_cast<int>(program.outputs.size()), "no such output");
  const Output& output = program.outputs[s.output];
  require(output.channels == source.channels && output.height == source.height && output.width == source.width,
          "output and buffer differ in shape");
  c.rows(s.rows, source.height, "source");
  c.zero_point(s.zero);
}

}  // namespace mobilenet::i8
