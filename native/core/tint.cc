#include "tint.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace mobilenet {
namespace {

constexpr int kBytes = 4;  // of a pixel
constexpr int kSpan = 64;  // pixels that are looked at together: where nothing is laid, they are copied

// Each byte of `from` moves to that of `color` by its share of 255, rounded to the nearest.
inline void blend(const std::uint8_t* from, const std::uint8_t* color, const std::uint8_t* share, int count, std::uint8_t* to) {
  for (int i = 0; i < count; ++i) {
    const auto sum = static_cast<std::uint16_t>(from[i] * (255 - share[i]) + color[i] * share[i] + 128);
    to[i] = static_cast<std::uint8_t>(static_cast<std::uint16_t>((sum >> 8) + sum) >> 8);
  }
}

// A row of `width` pixels: each of `values` becomes the pixel `pixel(value)`, `times` times.
template <class Pixel>
void widen(const std::uint8_t* values, int times, int width, const Pixel& pixel, std::uint32_t* row) {
  const auto each = [&](int count) {
    int x = 0;
    for (; x <= width - count; x += count) std::fill_n(row + x, count, pixel(*values++));
    if (x < width) std::fill_n(row + x, width - x, pixel(*values));
  };
  if (times == 1)
    each(1);  // counts that the compiler knows
  else if (times == 2)
    each(2);
  else
    each(times);
}

std::uint32_t pixel_of(std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  const std::uint8_t bytes[kBytes] = {red, green, blue, 0};
  std::uint32_t pixel;
  std::memcpy(&pixel, bytes, sizeof pixel);
  return pixel;
}

}  // namespace

void lay(const Tint& tint, const std::uint8_t* pixels, int width, int height, std::uint8_t* target) {
  std::uint32_t colors[256], shares[256];
  for (int i = 0; i < 256; ++i) {
    const auto share = static_cast<std::uint8_t>(i);
    colors[i] = pixel_of(tint.colors[3 * i], tint.colors[3 * i + 1], tint.colors[3 * i + 2]);
    shares[i] = pixel_of(share, share, share);
  }
  std::vector<std::uint32_t> color(width), share(width);
  std::vector<std::uint8_t> any((width + kSpan - 1) / kSpan);  // for each span whether something is laid there
  const auto* const color_bytes = reinterpret_cast<const std::uint8_t*>(color.data());
  const auto* const share_bytes = reinterpret_cast<const std::uint8_t*>(share.data());
  const long row = static_cast<long>(width) * kBytes;
  for (int y = 0; y < height; ++y, pixels += row, target += row) {
    if (y % tint.step == 0)
      widen(tint.classes + static_cast<long>(y / tint.step) * tint.classes_width, tint.step, width,
            [&](std::uint8_t label) { return colors[label]; }, color.data());
    if (y % tint.spacing == 0) {
      const std::uint8_t* const opacity = tint.opacity + static_cast<long>(y / tint.spacing) * tint.opacity_width;
      widen(opacity, tint.spacing, width, [&](std::uint8_t value) { return shares[value]; }, share.data());
      for (std::size_t i = 0; i < any.size(); ++i) {
        const int begin = static_cast<int>(i) * kSpan, count = std::min(kSpan, width - begin);
        std::uint32_t bits = 0;
        for (int x = 0; x < count; ++x) bits |= share[begin + x];
        any[i] = bits != 0;
      }
    }
    for (int x = 0; x < width; x += kSpan) {
      const long at = static_cast<long>(x) * kBytes;
      const int count = std::min(kSpan, width - x) * kBytes;
      if (!any[x / kSpan])
        std::memcpy(target + at, pixels + at, count);
      else if (count == kSpan * kBytes)
        blend(pixels + at, color_bytes + at, share_bytes + at, kSpan * kBytes, target + at);  // a length that the compiler knows
      else
        blend(pixels + at, color_bytes + at, share_bytes + at, count, target + at);
    }
  }
}

}  // namespace mobilenet
