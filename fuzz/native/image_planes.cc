// Pixels of any number and values: each plane holds what its color's levels say.
#include "../../native/core/image.h"
#include "support.h"

using namespace mobilenet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t count = size / kPlanes;
  std::vector<float> levels(kPlanes * kLevels);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i);
  const std::vector<std::uint8_t> pixels(data, data + count * kPlanes);
  std::vector<float> target(count * kPlanes);
  planes(pixels.data(), static_cast<long>(count), levels.data(), target.data());
  for (std::size_t i = 0; i < target.size(); ++i) {
    const std::size_t plane = i / count, pixel = i % count;
    expect(target[i] == levels[plane * kLevels + pixels[pixel * kPlanes + plane]], "a plane holds the levels of its color");
  }
  return 0;
}
