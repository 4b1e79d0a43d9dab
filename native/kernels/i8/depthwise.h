// The depthwise convolution of some rows of one panel of channels.
//
// 3 x 3: a column of the window is three bytes, one above the other. Interleaved with zeros they make the four bytes of a dot
// product, so that three dot products are a window, and a column that is interleaved once serves all windows it belongs to.
// Where a pixel's channels are fewer than a register's bytes, a register holds several pixels that lie next to each other.
//
// `Window3` keeps the weights and columns of four registers of sums at once. `FewWindow3` is for processors whose registers do not
// hold as much: one register of sums after another, for some pixels, and then their bytes.
#pragma once

#include <type_traits>

#include "requantize.h"

namespace mobilenet::i8 {

template <class V>
struct Window3 {
  using Bytes = typename V::Bytes;
  using Sums = typename V::Sums;
  struct Column {
    typename V::Value part[4];
  };

  const DepthwiseCall& call;
  const std::uint8_t* row[3];
  typename V::Weight weights[12];  // [3 columns][4 registers]
  Sums bias[4];
  Factors<V, 4> by;
  const std::int8_t* packed;  // weights of the part
  int passes;

  // The part whose constants begin at `slot`.
  [[gnu::always_inline]] inline Window3(const DepthwiseCall& c, const long* offset, const std::int8_t* part, int slot)
      : call(c), row{c.row(offset + 1), c.row(offset + 2), c.row(offset + 3)}, by(c.requantize, slot), packed(part), passes(c.passes) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) weights[i] = V::weight(packed + i * V::lanes * 4);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) bias[i] = V::load(c.requantize.bias + slot + i * V::lanes);
  }

  [[gnu::always_inline]] inline Column column(long at) const {
    if constexpr (requires { V::out_of_line; })
      return called_column(at);
    else
      return inlined_column(at);
  }
  [[gnu::noinline]] Column called_column(long at) const { return inlined_column(at); }
  [[gnu::always_inline]] inline Column inlined_column(long at) const {
    Bytes bytes[4];
    V::interleave(V::load_bytes(row[0] + at), V::load_bytes(row[1] + at), V::load_bytes(row[2] + at), bytes);
    Column made;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) made.part[i] = V::value(bytes[i]);
    return made;
  }

  template <Form form>
  [[gnu::always_inline]] inline Bytes window(const Column& left, const Column& middle, const Column& right) const {
    if constexpr (requires { V::out_of_line; })
      return called_window<form>(left, middle, right);
    else
      return inlined_window<form>(left, middle, right);
  }
  template <Form form>
  [[gnu::noinline]] Bytes called_window(const Column& left, const Column& middle, const Column& right) const {
    return inlined_window<form>(left, middle, right);
  }
  template <Form form>
  [[gnu::always_inline]] inline Bytes inlined_window(const Column& left, const Column& middle, const Column& right) const {
    Sums sum[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      sum[i] = V::dot(V::dot(V::dot(bias[i], left.part[i], weights[i]), middle.part[i], weights[4 + i]), right.part[i],
                      weights[8 + i]);
    if constexpr (form == Form::proved || form == Form::fixed)
      for (int pass = 1; pass < passes; ++pass) {  // weights that are more than 8 bits hold
        const std::int8_t* more = packed + pass * call.pass;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          const auto weight = [&](int column) { return V::weight(more + (column * 4 + i) * V::lanes * 4); };
          sum[i] = V::dot(V::dot(V::dot(sum[i], left.part[i], weight(0)), middle.part[i], weight(1)), right.part[i], weight(2));
        }
      }
    return to_bytes<V, form>(sum, call.requantize, by);
  }

  // Pixel by pixel: `bytes` channels of each, beginning at channel `channel`.
  template <Form form, int Stride, bool Rolling>
  [[gnu::always_inline]] inline void pixels(std::uint8_t* target, int channel, int bytes) const {
    const auto put = [&](int x, Bytes result) {
      std::uint8_t* place = target + static_cast<long>(x) * call.width + channel;
      V::template store<4>(place, 0, result, 1, bytes);
    };
    const long step = call.source_pixel;
    int x = 0;
    if constexpr (Rolling && Stride == 1) {
      Column a = column(channel), b = column(channel + step);
      long at = channel + 2 * step;
      for (; x + 3 <= call.pixels; x += 3, at += 3 * step) {  // the columns change places, so none is ever moved
        const Column c = column(at);
        put(x, window<form>(a, b, c));
        a = column(at + step);
        put(x + 1, window<form>(b, c, a));
        b = column(at + 2 * step);
        put(x + 2, window<form>(c, a, b));
      }
    }
    if constexpr (Rolling && Stride == 2) {
      Column a = column(channel);
      long at = channel + step;
      for (; x + 2 <= call.pixels; x += 2, at += 4 * step) {
        const Column b = column(at), c = column(at + step);
        put(x, window<form>(a, b, c));
        const Column d = column(at + 2 * step);
        a = column(at + 3 * step);
        put(x + 1, window<form>(c, d, a));
      }
    }
    const long apart = step * call.dilation;
    for (; x < call.pixels; ++x) {
      const long at = channel + x * step * call.stride;
      put(x, window<form>(column(at), column(at + apart), column(at + 2 * apart)));
    }
  }

  // Bytes after bytes, whatever pixel they belong to: stride 1, and pixels that divide a register.
  template <Form form>
  [[gnu::always_inline]] inline void run(std::uint8_t* target) const {
    constexpr int one = V::lanes * 4;
    const long apart = static_cast<long>(call.width) * call.dilation, all = static_cast<long>(call.pixels) * call.width;
    long at = 0;
    if (2 * apart == one) {  // the right column of one register is the left one of the next
      Column left = column(0);
      for (; at + one <= all; at += one) {
        const Column right = column(at + one);
        V::template store<4>(target + at, 0, window<form>(left, column(at + apart), right), 1, one);
        left = right;
      }
    }
    for (; at < all; at += one) {
      const int bytes = all - at < one ? static_cast<int>(all - at) : one;
      const Bytes result = window<form>(column(at), column(at + apart), column(at + 2 * apart));
      V::template store<4>(target + at, 0, result, 1, bytes);
    }
  }
};

template <class V>
struct FewWindow3 {
  using Sums = typename V::Sums;
  using Value = typename V::Value;
  static constexpr int one = V::lanes * 4;  // bytes of a part
  static constexpr int kPixels = 32;        // whose sums wait

  const DepthwiseCall& call;
  const std::uint8_t* row[3];
  const std::int8_t* packed;  // weights of the part
  int slot;

  [[gnu::always_inline]] inline FewWindow3(const DepthwiseCall& c, const long* offset, const std::int8_t* part, int first)
      : call(c), row{c.row(offset + 1), c.row(offset + 2), c.row(offset + 3)}, packed(part), slot(first) {}

  // Windows whose left columns begin at `at` and `step` bytes apart, their own columns `apart`. `New` columns of a window are not
  // those of the window before. Each makes `bytes` bytes of the target, `pitch` apart, and the last one `last`.
  template <int New>
  [[gnu::noinline]] void run(long at, long step, long apart, int count, std::uint8_t* target, long pitch, int bytes, int last) const {
    const Factors<V, 4> by(call.requantize, slot);
    alignas(64) std::int32_t sums[kPixels * 4 * V::lanes];
    for (int first = 0; first < count; first += kPixels, at += kPixels * step) {
      const int some = count - first < kPixels ? count - first : kPixels;
      for (int j = 0; j < 4; ++j) {
        add<New, true>(sums + j * V::lanes, packed, j, at, step, apart, some);
        for (int pass = 1; pass < call.passes; ++pass)  // weights that are more than 8 bits hold
          add<New, false>(sums + j * V::lanes, packed + pass * call.pass, j, at, step, apart, some);
      }
      std::uint8_t* const place = target + first * pitch;
      const int end = first + some == count ? last : bytes;
      switch (call.requantize.form) {
        case Form::plain: put<Form::plain>(sums, by, some, place, pitch, bytes, end); break;
        case Form::shifted: put<Form::shifted>(sums, by, some, place, pitch, bytes, end); break;
        case Form::proved: put<Form::proved>(sums, by, some, place, pitch, bytes, end); break;
        case Form::fixed: put<Form::fixed>(sums, by, some, place, pitch, bytes, end); break;
        default: put<Form::general>(sums, by, some, place, pitch, bytes, end);
      }
    }
  }

 private:
  // The bytes of some pixels' sums, `bytes` of each, `end` of the last.
  template <Form form>
  [[gnu::noinline]] void put(const std::int32_t* sums, const Factors<V, 4>& by, int count, std::uint8_t* target, long pitch, int bytes,
                             int end) const {
    for (int x = 0; x < count; ++x) {
      Sums four[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) four[j] = V::load(sums + (x * 4 + j) * V::lanes);
      V::template store<4>(target + x * pitch, 0, to_bytes<V, form>(four, call.requantize, by), 1, x == count - 1 ? end : bytes);
    }
  }

  // Register `j` of the sums of some windows: begins them, or adds to them.
  template <int New, bool Begin>
  [[gnu::always_inline]] inline void add(std::int32_t* sums, const std::int8_t* weights, int j, long at, long step, long apart,
                                         int count) const {
    const typename V::Weight first = V::narrow_weight(weights + j * one), second = V::narrow_weight(weights + (4 + j) * one),
                             third = V::narrow_weight(weights + (8 + j) * one);
    const Sums bias = V::load(call.requantize.bias + slot + j * V::lanes);
    const typename V::Register mine(j);
    const auto column = [&](long from) { return V::column(row[0] + from, row[1] + from, row[2] + from, mine); };
    const auto put = [&](int x, const Value& left, const Value& middle, const Value& right) {
      std::int32_t* place = sums + x * 4 * V::lanes;
      V::store_sums(place, V::dot(V::dot(V::dot(Begin ? bias : V::load(place), left, first), middle, second), right, third));
    };
    int x = 0;
    if constexpr (New == 1) {
      Value a = column(at), b = column(at + apart);
      for (at += 2 * apart; x + 3 <= count; x += 3, at += 3 * apart) {  // the columns change places, so none is ever moved
        const Value c = column(at);
        put(x, a, b, c);
        a = column(at + apart);
        put(x + 1, b, c, a);
        b = column(at + 2 * apart);
        put(x + 2, c, a, b);
      }
      at -= 2 * apart;
    }
    if constexpr (New == 2) {
      Value a = column(at);
      for (; x + 2 <= count; x += 2, at += 4 * apart) {
        const Value c = column(at + 2 * apart);
        put(x, a, column(at + apart), c);
        a = column(at + 4 * apart);
        put(x + 1, c, column(at + 3 * apart), a);
      }
    }
    for (; x < count; ++x, at += step) put(x, column(at), column(at + apart), column(at + 2 * apart));
  }
};

// Some rows with `FewWindow3`.
template <class V>
void depthwise_few(const DepthwiseCall& call) {
  constexpr int one = V::lanes * 4;
  const bool shared = call.width < one && one % call.width == 0;
  const bool flat = shared && call.stride == 1 && call.source_pixel == call.width;
  const int parts = shared ? 1 : (call.width + one - 1) / one;
  const long pixel = call.source_pixel, apart = pixel * call.dilation, step = pixel * call.stride;
  for (const long *offset = call.offsets, *end = offset + 4L * call.rows; offset != end; offset += 4)
    for (int part = 0; part < parts; ++part) {
      const FewWindow3<V> window(call, offset, call.weights + part * 12 * one, part * one);
      std::uint8_t* target = call.target + offset[0];
      if (flat) {  // bytes after bytes, whatever pixel they belong to
        const int all = call.pixels * call.width, count = (all + one - 1) / one, last = all - (count - 1) * one;
        2 * apart == one ? window.template run<2>(0, one, apart, count, target, one, one, last)
                         : window.template run<3>(0, one, apart, count, target, one, one, last);
        continue;
      }
      const int channel = part * one, bytes = call.width - channel < one ? call.width - channel : one;
      const auto run = [&](auto fresh) {
        window.template run<decltype(fresh)::value>(channel, step, apart, call.pixels, target + channel, call.width, bytes, bytes);
      };
      if (step == apart)
        run(std::integral_constant<int, 1>());
      else if (step == 2 * apart)
        run(std::integral_constant<int, 2>());
      else
        run(std::integral_constant<int, 3>());
    }
}

// Some rows with `Window3`.
template <class V, Form form>
void depthwise_whole(const DepthwiseCall& call) {
  constexpr int one = V::lanes * 4;
  const bool shared = call.width < one && one % call.width == 0;  // pixels share a register, weights are repeated
  const bool flat = shared && call.stride == 1 && call.source_pixel == call.width;
  const int parts = shared ? 1 : (call.width + one - 1) / one;
  for (const long *offset = call.offsets, *end = offset + 4L * call.rows; offset != end; offset += 4) {
    std::uint8_t* target = call.target + offset[0];
    for (int part = 0; part < parts; ++part) {
      const Window3<V> window(call, offset, call.weights + part * 12 * one, part * one);
      const int channel = part * one, bytes = call.width - channel < one ? call.width - channel : one;
      if (flat)
        window.template run<form>(target);
      else if (call.dilation == 1 && call.stride == 1)
        window.template pixels<form, 1, true>(target, channel, bytes);
      else if (call.dilation == 1 && call.stride == 2)
        window.template pixels<form, 2, true>(target, channel, bytes);
      else
        window.template pixels<form, 1, false>(target, channel, bytes);
    }
  }
}

// Any other kernel: one sum after another. Weights are [kernel * kernel][kSlots], constants in the order of the channels.
template <class V>
void depthwise_any(const DepthwiseCall& call) {
  const Requantize& to = call.requantize;
  for (int y = 0; y < call.rows; ++y) {
    const long* offset = call.offsets + y * (call.kernel + 1L);
    for (int x = 0; x < call.pixels; ++x)
      for (int c = 0; c < call.width; ++c) {
        std::int32_t sum = to.bias[c];
        for (int i = 0; i < call.kernel; ++i)
          for (int j = 0; j < call.kernel; ++j)
            sum += call.row(offset + 1 + i)[(static_cast<long>(x) * call.stride + static_cast<long>(j) * call.dilation) *
                                                call.source_pixel + c] *
                   call.weight((i * call.kernel + j) * kSlots + c);
        call.target[offset[0] + static_cast<long>(x) * call.width + c] = byte_of<V>(sum, to, c);
      }
  }
}

template <class V>
void depthwise(const DepthwiseCall& call) {
  if (call.kernel != 3) return depthwise_any<V>(call);
  if constexpr (V::few_registers) return depthwise_few<V>(call);
  else switch (call.requantize.form) {
    case Form::plain: return depthwise_whole<V, Form::plain>(call);
    case Form::shifted: return depthwise_whole<V, Form::shifted>(call);
    case Form::proved: return depthwise_whole<V, Form::proved>(call);
    case Form::fixed: return depthwise_whole<V, Form::fixed>(call);
    default: return depthwise_whole<V, Form::general>(call);
  }
}

}  // namespace mobilenet::i8
