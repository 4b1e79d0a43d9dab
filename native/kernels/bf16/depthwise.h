// The depthwise convolution of some rows of 16 channels, in float32.
//
// Each sum goes column by column, in a column from top to bottom, on every path: so neither bands nor threads change a bit. The
// usual 3 x 3 windows walk along a few output rows at once and read each value of the source once.
#pragma once

#include "product.h"

namespace mobilenet::bf16 {

// Called while the depthwise convolution runs, between its columns.
struct Nothing {
  void step() {}
};

// The source's rows as a kernel reads them.
template <class V, bool Real, bool Clamped>
struct Source {
  typename V::Register low, high;

  explicit Source(Range range) : low(V::broadcast(range.low)), high(V::broadcast(range.high)) {}

  typename V::Register load(const std::byte* pixel, int lane) const {
    if constexpr (!Real) return V::widen(reinterpret_cast<const Value*>(pixel) + lane);
    const typename V::Register x = V::load(reinterpret_cast<const float*>(pixel) + lane);
    if constexpr (Clamped) return V::clamp(x, low, high);
    return x;
  }
};

// The results of a kernel, on their way to the target.
template <class V, bool Real>
struct Target {
  typename V::Register low, high;

  explicit Target(Range range) : low(V::broadcast(range.low)), high(V::broadcast(range.high)) {}

  void store(std::byte* pixel, int lane, typename V::Register sum) const {
    const typename V::Register value = V::clamp(sum, low, high);
    if constexpr (Real)
      V::store(reinterpret_cast<float*>(pixel) + lane, value);
    else
      V::narrow(reinterpret_cast<Value*>(pixel) + lane, value);
  }
};

template <class V>
struct Weights3x3 {
  typename V::Register of[9], bias;

  Weights3x3(const DepthwiseCall& call, int lane) : bias(V::load(call.bias + lane)) {
#pragma GCC unroll 9
    for (int i = 0; i < 9; ++i) of[i] = V::load(call.weights + i * kBlock + lane);
  }

  // A column of the window, onto `sum`.
  typename V::Register column(int j, typename V::Register top, typename V::Register middle, typename V::Register bottom,
                              typename V::Register sum) const {
    return V::multiply_add(of[6 + j], bottom, V::multiply_add(of[3 + j], middle, V::multiply_add(of[j], top, sum)));
  }
};

// `Count` output rows at stride 1; more than one at dilation 1 only. Windows of one place modulo the dilation share columns.
template <class V, int Count, class From, class To, class Background>
[[gnu::always_inline]] inline void rows_stride_1(const DepthwiseCall& call, const long* offsets, int lane, const From& from,
                                                 const To& to, const Weights3x3<V>& weight, Background& background) {
  using Register = typename V::Register;
  const std::byte* row[Count + 2];
  std::byte* target[Count];
#pragma GCC unroll 8
  for (int i = 0; i < 3; ++i) row[i] = call.row(offsets[1 + i]);
#pragma GCC unroll 8
  for (int j = 0; j < Count; ++j) {
    target[j] = call.target.first + offsets[4 * j];
    row[j + 2] = call.row(offsets[4 * j + 3]);
  }
  const int d = call.dilation;
  for (int phase = 0; phase < d && phase < call.pixels; ++phase) {
    Register last[Count], before[Count];
#pragma GCC unroll 8
    for (int j = 0; j < Count; ++j) last[j] = before[j] = weight.bias;
    int since = 0;
    for (long c = phase; c < call.pixels + 2 * d; c += d, ++since) {
      Register x[Count + 2];
#pragma GCC unroll 8
      for (int i = 0; i < Count + 2; ++i) x[i] = from.load(row[i] + c * kPixel, lane);
      Register sum[Count];
#pragma GCC unroll 8
      for (int j = 0; j < Count; ++j) {
        sum[j] = weight.column(2, x[j], x[j + 1], x[j + 2], before[j]);
        before[j] = weight.column(1, x[j], x[j + 1], x[j + 2], last[j]);
        last[j] = weight.column(0, x[j], x[j + 1], x[j + 2], weight.bias);
      }
      if (since > 1) {
#pragma GCC unroll 8
        for (int j = 0; j < Count; ++j) to.store(target[j] + (c - 2 * d) * kPixel, lane, sum[j]);
      }
      if ((since & 3) == 1) background.step();
    }
  }
}

// `Count` output rows at stride 2, dilation 1.
template <class V, int Count, class From, class To, class Background>
[[gnu::always_inline]] inline void rows_stride_2(const DepthwiseCall& call, const long* offsets, int lane, const From& from,
                                                 const To& to, const Weights3x3<V>& weight, Background& background) {
  using Register = typename V::Register;
  constexpr int rows = 2 * Count + 1;
  const std::byte* row[rows];
  std::byte* target[Count];
  row[0] = call.row(offsets[1]);
#pragma GCC unroll 8
  for (int j = 0; j < Count; ++j) {
    target[j] = call.target.first + offsets[4 * j];
    row[2 * j + 1] = call.row(offsets[4 * j + 2]);
    row[2 * j + 2] = call.row(offsets[4 * j + 3]);
  }
  Register left[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) left[i] = from.load(row[i], lane);
  for (long p = 0; p < call.pixels; ++p) {
    Register sum[Count], x[rows];
#pragma GCC unroll 8
    for (int j = 0; j < Count; ++j) sum[j] = weight.column(0, left[2 * j], left[2 * j + 1], left[2 * j + 2], weight.bias);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      x[i] = from.load(row[i] + (2 * p + 1) * kPixel, lane);
      left[i] = from.load(row[i] + (2 * p + 2) * kPixel, lane);
    }
#pragma GCC unroll 8
    for (int j = 0; j < Count; ++j) {
      sum[j] = weight.column(1, x[2 * j], x[2 * j + 1], x[2 * j + 2], sum[j]);
      sum[j] = weight.column(2, left[2 * j], left[2 * j + 1], left[2 * j + 2], sum[j]);
      to.store(target[j] + p * kPixel, lane, sum[j]);
    }
    if (p & 1) background.step();
  }
}

// Any window.
template <class V, class From, class To>
void rows_any(const DepthwiseCall& call, const From& from, const To& to) {
  for (int y = 0; y < call.rows; ++y) {
    const long* offset = call.offsets + y * (call.kernel + 1);
    for (int lane = 0; lane < kBlock; lane += V::lanes)
      for (long p = 0; p < call.pixels; ++p) {
        typename V::Register sum = V::load(call.bias + lane);
        for (int j = 0; j < call.kernel; ++j)
          for (int i = 0; i < call.kernel; ++i)
            sum = V::multiply_add(V::load(call.weights + (i * call.kernel + j) * kBlock + lane),
                                  from.load(call.row(offset[1 + i]) + (p * call.stride + j * call.dilation) * kPixel, lane), sum);
        to.store(call.target.first + offset[0] + p * kPixel, lane, sum);
      }
  }
}

template <class V, class From, class To, class Background>
void depthwise_rows(const DepthwiseCall& call, Background& background) {
  const From from(call.read);
  const To to(call.range);
  const bool usual = call.kernel == 3 && (call.stride == 1 || (call.stride == 2 && call.dilation == 1));
  if (!usual) return rows_any<V>(call, from, to);
  for (int lane = 0; lane < kBlock; lane += V::lanes) {
    const Weights3x3<V> weight(call, lane);
    const long* offsets = call.offsets;
    int left = call.rows;
    if (call.stride == 2) {
      for (; left >= 2; left -= 2, offsets += 8) rows_stride_2<V, 2>(call, offsets, lane, from, to, weight, background);
      if (left) rows_stride_2<V, 1>(call, offsets, lane, from, to, weight, background);
      continue;
    }
    if (call.dilation == 1) {
      for (; left >= 4; left -= 4, offsets += 16) rows_stride_1<V, 4>(call, offsets, lane, from, to, weight, background);
      if (left >= 2) rows_stride_1<V, 2>(call, offsets, lane, from, to, weight, background), left -= 2, offsets += 8;
    }
    for (; left > 0; --left, offsets += 4) rows_stride_1<V, 1>(call, offsets, lane, from, to, weight, background);
  }
}

template <class V, class From, class Background>
void depthwise_from(const DepthwiseCall& call, Background& background) {
  call.target.real ? depthwise_rows<V, From, Target<V, true>>(call, background)
                   : depthwise_rows<V, From, Target<V, false>>(call, background);
}

template <class V>
void depthwise(const DepthwiseCall& call) {
  Nothing background;
  call.source.real ? depthwise_from<V, Source<V, true, false>>(call, background)
                   : depthwise_from<V, Source<V, false, false>>(call, background);
}

}  // namespace mobilenet::bf16
