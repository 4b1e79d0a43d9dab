// Images of any size, parts, boxes and paddings, fed in pieces: every value of the input is one of its color's levels.
#include <cmath>
#include <limits>

#include "../../native/core/image.h"
#include "../../native/core/resample.h"
#include "../../native/isa/isa.h"
#include "support.h"

using namespace mobilenet;

namespace {

constexpr int kMostPixels = 90;  // of a side

// A part of `whole` pixels: (where it begins, how many there are).
std::pair<int, int> part_of(Input& input, int whole) {
  const int length = 1 + input.byte() % whole;
  return {input.byte() % (whole - length + 1), length};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> isas = available_isas();
  Input input(data, size);
  const Kernels& kernels = kernels_for(isas[input.byte() % isas.size()]);
  Geometry g{};
  for (int axis = 0; axis < 2; ++axis) {
    g.image[axis] = 1 + input.byte() % kMostPixels;
    const auto [origin, part] = part_of(input, g.image[axis]);
    g.origin[axis] = origin, g.part[axis] = part;
    const float low = part * (input.byte() / 256.0f), high = low + (part - low) * ((1 + input.byte()) / 256.0f);
    g.box[axis] = low, g.box[axis + 2] = std::min(high, static_cast<float>(part));
    if (!(low < g.box[axis + 2])) return 0;
    g.resized[axis] = 1 + input.byte() % kMostPixels * (1 + input.byte() % 3);
    g.input[axis] = 1 + input.byte() % kMostPixels;
    g.offset[axis] = input.byte() - 128;
  }
  const int choice = input.byte();
  g.down_first = choice & 1;
  g.fill = static_cast<std::uint8_t>(input.byte());
  const Filter filter = static_cast<Filter>((choice >> 1) % 5);
  std::vector<float> levels(kPlanes * kLevels);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i);
  const long area = static_cast<long>(g.input[0]) * g.input[1];
  std::vector<float> target(kPlanes * area, std::numeric_limits<float>::quiet_NaN());
  Resampler resampler(g, filter, levels.data(), target.data(), kernels);
  const std::size_t pitch = static_cast<std::size_t>(g.image[0]) * u8::kPixelBytes;
  expect(resampler.first_row() >= 0 && resampler.end_row() <= g.image[1], "only rows of the image are looked at");
  for (int row = resampler.first_row(); row < resampler.end_row();) {
    const int count = std::min(1 + input.byte() % 16, g.image[1] - row);
    std::vector<std::uint8_t> pixels(pitch * count);  // an allocation of its own: nothing beside these rows is read
    for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(input.byte());
    resampler.feed(pixels.data(), row, count);
    expect(resampler.next_row() >= std::min(row + count, resampler.end_row()), "rows are taken as they come");
    row += count;
  }
  for (long i = 0; i < kPlanes * area; ++i) {
    const long plane = i / area, level = std::lround(target[i]) - plane * kLevels;
    expect(target[i] == std::floor(target[i]) && level >= 0 && level < kLevels, "every value is a level of its color");
  }
  return 0;
}
