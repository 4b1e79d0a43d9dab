#include "preparation.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../base/failure.h"
#include "image.h"

namespace mobilenet {
namespace {

constexpr int kMaxInput = 1 << 15, kMaxImage = 1 << 28;  // pixels of a side

// The pixels of a side that a real number stands for: as Python's int() or round() gives them, but at most kMaxImage.
int whole(double value) { return static_cast<int>(std::min(value, double{kMaxImage})); }
int nearest(double value) { return whole(std::nearbyint(value)); }

// The start of a centered window; negative if the window is longer than the image.
int center_offset(int length, int window) {
  return window > length ? -((window - length) / 2) : nearest((length - window) / 2.0);
}

Geometry place(const Preparation& p, int width, int height) {
  Geometry g{.image = {width, height}, .origin = {0, 0}, .part = {width, height},
             .box = {0, 0, static_cast<float>(width), static_cast<float>(height)}, .resized = {p.width, p.height},
             .offset = {0, 0}, .input = {p.width, p.height}, .down_first = false, .fill = static_cast<std::uint8_t>(p.fill)};
  const int sides[] = {width, height}, most[] = {p.width, p.height};
  switch (p.fit) {
    case Fit::center_crop: {
      const int shorter = width <= height ? 0 : 1;
      g.resized[shorter] = p.resize;
      g.resized[1 - shorter] = whole(static_cast<double>(std::int64_t{p.resize} * sides[1 - shorter]) / sides[shorter]);
      for (int axis = 0; axis < 2; ++axis) g.offset[axis] = center_offset(g.resized[axis], most[axis]);
      break;
    }
    case Fit::central_fraction:
      for (int axis = 0; axis < 2; ++axis) {
        g.origin[axis] = static_cast<int>((sides[axis] - sides[axis] * p.fraction) / 2);
        g.part[axis] = sides[axis] - 2 * g.origin[axis];
      }
      break;
    case Fit::central_part:
      for (int axis = 0; axis < 2; ++axis) {
        g.part[axis] = std::max(static_cast<int>(sides[axis] * p.fraction), 1);
        g.origin[axis] = (sides[axis] - g.part[axis]) / 2;
      }
      break;
    case Fit::pad: {
      double scale = std::min(static_cast<double>(p.width) / width, static_cast<double>(p.height) / height);
      if (p.enlarge > 0) scale = std::min(scale, p.enlarge);
      for (int axis = 0; axis < 2; ++axis) g.resized[axis] = std::min(std::max(nearest(sides[axis] * scale), 1), most[axis]);
      break;
    }
    case Fit::squash: break;
  }
  g.box[2] = static_cast<float>(g.part[0]), g.box[3] = static_cast<float>(g.part[1]);
  g.down_first = p.down_first && g.part[1] > g.resized[1] && g.part[1] - g.resized[1] > 2 * (g.part[0] - g.resized[0]);
  return g;
}

}  // namespace

Preparation read_preparation(Reader& reader) {
  Preparation p{};
  p.height = reader.word(), p.width = reader.word();
  p.fit = reader.one_of<Fit>(kFits, "fit");
  p.resize = reader.word(), p.fraction = reader.long_real(), p.fill = reader.word(), p.enlarge = reader.long_real();
  p.filter = reader.one_of<int>(kFilters, "filter");
  p.down_first = reader.word() != 0;
  p.levels = reader.array<float>(kPlanes * kLevels, sizeof(float));
  const auto side = [](int pixels) { return pixels >= 1 && pixels <= kMaxInput; };
  const bool fraction = p.fit != Fit::central_fraction && p.fit != Fit::central_part;
  reader.require(side(p.height) && side(p.width) && (p.fit != Fit::center_crop || side(p.resize)) && p.fill >= 0 && p.fill < kLevels &&
                     (fraction || (p.fraction >= 0.01 && p.fraction <= 1)) && p.enlarge >= 0 && p.enlarge <= 1000,
                 "the preparation of images is out of range");
  for (int i = 0; i < kPlanes * kLevels; ++i) reader.require(std::isfinite(p.levels[i]), "a level is not finite");
  return p;
}

void prepare(const Preparation& p, const std::uint8_t* pixels, int width, int height, int channels, std::size_t row_bytes,
             float* input, const Kernels& kernels) {
  if (width < 1 || height < 1 || width > kMaxImage || height > kMaxImage)
    fail_argument("image " + decimal(width) + "x" + decimal(height) + ": sides must be 1 to " + decimal(kMaxImage));
  if (channels != 3 && channels != 4) fail_argument("channels " + decimal(channels) + ": must be 3 or 4");
  if (row_bytes / channels < static_cast<std::size_t>(width))
    fail_argument("row_bytes " + decimal(row_bytes) + ": fewer than " + decimal(width) + " pixels");
  if (p.filter == kFilters - 1) fail_argument("this model's images are resized by their nearest pixels; resize them yourself");
  const Geometry geometry = place(p, width, height);
  if (std::max(geometry.resized[0], geometry.resized[1]) >= kMaxImage)
    fail_argument("image " + decimal(width) + "x" + decimal(height) + ": too long and narrow to resize");
  Resampler resampler(geometry, static_cast<Filter>(p.filter), p.levels, input, kernels);
  std::vector<std::uint8_t> line(channels == 3 ? static_cast<std::size_t>(width) * u8::kPixelBytes : 0);
  for (int y = resampler.first_row(); y < resampler.end_row(); ++y) {
    const std::uint8_t* row = pixels + static_cast<std::size_t>(y) * row_bytes;
    if (channels == 3) {
      for (int x = 0; x < width; ++x)
        for (int k = 0; k < 3; ++k) line[static_cast<std::size_t>(x) * u8::kPixelBytes + k] = row[static_cast<std::size_t>(x) * 3 + k];
      row = line.data();
    }
    resampler.feed(row, y, 1);
  }
}

}  // namespace mobilenet
