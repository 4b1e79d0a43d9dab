#include "resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "image.h"

namespace mobilenet {
namespace {

constexpr double kPi = 3.14159265358979323846;

double sinc(double x) { return x == 0 ? 1 : std::sin(x * kPi) / (x * kPi); }

double support_of(Filter filter) {
  switch (filter) {
    case Filter::kBox: return 0.5;
    case Filter::kBilinear:
    case Filter::kHamming: return 1;
    case Filter::kBicubic: return 2;
    case Filter::kLanczos: break;
  }
  return 3;
}

double value_of(Filter filter, double x) {
  const double distance = std::abs(x);
  switch (filter) {
    case Filter::kBox: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case Filter::kBilinear: return distance < 1 ? 1 - distance : 0;
    case Filter::kHamming:
      if (distance == 0 || distance >= 1) return distance == 0 ? 1 : 0;
      return std::sin(distance * kPi) / (distance * kPi) * (0.54f + 0.46f * std::cos(distance * kPi));
    case Filter::kBicubic:
      if (distance < 1) return ((-0.5 + 2) * distance - (-0.5 + 3)) * distance * distance + 1;
      return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * -0.5 : 0;
    case Filter::kLanczos: break;
  }
  return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

int first_inside(int offset) { return std::max(-offset, 0); }

int count_inside(int resized, int offset, int input) {
  return std::max(std::min(input, resized - offset) - first_inside(offset), 0);
}

}  // namespace

Axis::Axis(Filter filter, int size, float low, float high, int target, int first, int count, int group) {
  const double scale = static_cast<double>(high - low) / target, wide = std::max(scale, 1.0);
  const double support = support_of(filter) * wide;
  const auto range = [&](int i) {
    const double center = low + (first + i + 0.5) * scale;
    const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
    return std::pair(begin, std::max(std::min(static_cast<int>(center + support + 0.5), size), begin));
  };
  int longest = 1;
  for (int i = 0; i < count; ++i) longest = std::max(longest, range(i).second - range(i).first);
  taps = (longest + group - 1) / group * group;
  starts.resize(count);
  weights.assign(static_cast<std::size_t>(count) * taps, 0);
  std::vector<double> exact(longest);
  for (int i = 0; i < count; ++i) {
    const auto [begin, end] = range(i);
    const double center = low + (first + i + 0.5) * scale;
    double sum = 0;
    for (int x = begin; x < end; ++x) sum += exact[x - begin] = value_of(filter, (x - center + 0.5) * (1 / wide));
    starts[i] = std::max(std::min(begin, size - taps), 0);
    for (int x = begin; x < end; ++x) {
      const double weight = sum != 0 ? exact[x - begin] / sum : exact[x - begin];
      weights[static_cast<std::size_t>(i) * taps + x - starts[i]] =
          static_cast<std::int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << u8::kWeightBits));
    }
  }
}

Resampler::Resampler(const Geometry& g, Filter filter, const float* levels, float* target, const Kernels& kernels)
    : geometry_(g), levels_(levels), target_(target), kernels_(kernels.u8),
      place_{first_inside(g.offset[0]), first_inside(g.offset[1])},
      count_{count_inside(g.resized[0], g.offset[0], g.input[0]), count_inside(g.resized[1], g.offset[1], g.input[1])},
      columns_(filter, g.part[0], g.box[0], g.box[2], g.resized[0], std::max(g.offset[0], 0), count_[0], u8::kGroup),
      rows_(filter, g.part[1], g.box[1], g.box[3], g.resized[1], std::max(g.offset[1], 0), count_[1], 1) {
  const long area = static_cast<long>(g.input[0]) * g.input[1];
  if (count_[0] < g.input[0] || count_[1] < g.input[1])
    for (int plane = 0; plane < kPlanes; ++plane)
      std::fill_n(target + plane * area, area, levels[plane * kLevels + g.fill]);
  if (count_[0] == 0 || count_[1] == 0) return;
  packed_.resize(2 * columns_.weights.size());
  for (std::size_t i = 0; i < columns_.weights.size(); ++i) {
    std::int16_t* const group = packed_.data() + i / u8::kGroup * 2 * u8::kGroup + i % u8::kGroup;
    group[0] = static_cast<std::int16_t>(columns_.weights[i] & ((1 << u8::kLowBits) - 1));
    group[u8::kGroup] = static_cast<std::int16_t>(columns_.weights[i] >> u8::kLowBits);
  }
  line_.resize(static_cast<std::size_t>(count_[0]) * u8::kPixelBytes);
  if (g.down_first) {
    first_column_ = columns_.starts.front();
    pitch_ = static_cast<long>(std::min(columns_.starts.back() + columns_.taps, g.part[0]) - first_column_) * u8::kPixelBytes;
    for (int& start : columns_.starts) start -= first_column_;
  } else {
    pitch_ = static_cast<long>(line_.size());
  }
  ring_.resize(rows_.taps * pitch_);
  sources_.resize(rows_.taps);
  // Where the kernel reads: of a part that is narrower than a pixel's taps, a copy with zeros behind it.
  if (g.down_first || columns_.taps > g.part[0])
    wide_.resize(std::max<std::size_t>(pitch_, static_cast<std::size_t>(columns_.taps) * u8::kPixelBytes));
  first_row_ = next_row_ = g.origin[1] + rows_.starts.front();
  end_row_ = std::min(g.origin[1] + rows_.starts.back() + rows_.taps, g.origin[1] + g.part[1]);
}

void Resampler::feed(const std::uint8_t* pixels, int row, int count) {
  const long pitch = static_cast<long>(geometry_.image[0]) * u8::kPixelBytes;
  for (; next_row_ < std::min(row + count, end_row_); ++next_row_)
    add(pixels + (next_row_ - row) * pitch + static_cast<long>(geometry_.origin[0]) * u8::kPixelBytes);
}

// Row next_row_ of the image, then all rows of the input that need no later one.
void Resampler::add(const std::uint8_t* pixels) {
  const int row = next_row_ - geometry_.origin[1];
  std::uint8_t* const place = ring_.data() + row % rows_.taps * pitch_;
  if (geometry_.down_first) {
    std::memcpy(place, pixels + static_cast<long>(first_column_) * u8::kPixelBytes, pitch_);
  } else if (!wide_.empty()) {
    std::memcpy(wide_.data(), pixels, static_cast<std::size_t>(geometry_.part[0]) * u8::kPixelBytes);
    across(wide_.data(), place);
  } else {
    across(pixels, place);
  }
  while (emitted_ < count_[1] && std::min(rows_.starts[emitted_] + rows_.taps, geometry_.part[1]) - 1 <= row) emit();
}

void Resampler::across(const std::uint8_t* pixels, std::uint8_t* target) const {
  kernels_.blend_row({.pixels = pixels,
                      .starts = columns_.starts.data(),
                      .weights = packed_.data(),
                      .groups = columns_.taps / u8::kGroup,
                      .target = target,
                      .count = count_[0]});
}

void Resampler::down(std::uint8_t* target) {
  const int start = rows_.starts[emitted_], taps = std::min(rows_.taps, geometry_.part[1] - start);
  for (int tap = 0; tap < taps; ++tap) sources_[tap] = ring_.data() + (start + tap) % rows_.taps * pitch_;
  kernels_.blend_rows({.rows = sources_.data(),
                       .weights = rows_.weights.data() + static_cast<long>(emitted_) * rows_.taps,
                       .taps = taps,
                       .target = target,
                       .bytes = pitch_});
}

// The next row of the input.
void Resampler::emit() {
  if (geometry_.down_first) {
    down(wide_.data());
    across(wide_.data(), line_.data());
  } else {
    down(line_.data());
  }
  const long area = static_cast<long>(geometry_.input[0]) * geometry_.input[1];
  float* const row = target_ + static_cast<long>(place_[1] + emitted_) * geometry_.input[0] + place_[0];
  for (int plane = 0; plane < kPlanes; ++plane)
    for (int x = 0; x < count_[0]; ++x)
      row[plane * area + x] = levels_[plane * kLevels + line_[static_cast<long>(x) * u8::kPixelBytes + plane]];
  ++emitted_;
}

}  // namespace mobilenet
