// Detections of random outputs, extreme and not-a-number ones among them: results in order, no two of a class overlap, and
// nothing is read outside (under the sanitizers).
#include "../core/detections.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "support.h"

namespace {

using namespace mobilenet;

float iou(const Box& a, const Box& b) {
  const auto area = [](const Box& box) { return std::max(box.x1 - box.x0, 0.0f) * std::max(box.y1 - box.y0, 0.0f); };
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0), height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float overlap = std::max(width, 0.0f) * std::max(height, 0.0f);
  return overlap / (area(a) + area(b) - overlap);
}

void random_outputs(unsigned seed) {
  std::mt19937 dice(seed);
  const auto one_of = [&](int count) { return static_cast<int>(dice() % count); };
  const int slots = 2 + one_of(4);
  std::vector<std::vector<float>> values;
  std::vector<HeadMap> maps;
  long rows = 0;
  for (int map = one_of(4); map >= 0; --map) {
    const int anchors = 1 + one_of(3);
    const long cells = 1 + one_of(40);
    values.push_back(noise(anchors * slots * cells, dice())), values.push_back(noise(anchors * 4 * cells, dice()));
    for (auto v = values.end() - 2; v != values.end(); ++v)
      for (float& x : *v) {
        x *= seed % 3 ? 6 : 1e30f;
        if (seed % 5 == 0 && one_of(9) == 0) x = one_of(2) ? NAN : INFINITY;
      }
    maps.push_back({values[values.size() - 2].data(), values.back().data(), cells, anchors});
    rows += anchors * cells;
  }
  std::vector<double> defaults;
  for (float v : noise(4 * rows, dice())) defaults.push_back(0.51 + 0.5 * v);
  const Reading reading{.slots = slots, .softmax = one_of(2) == 1, .yxhw = one_of(2) == 1, .threshold = one_of(3) / 2.0f,
                        .iou = 0.5f, .most = static_cast<std::size_t>(one_of(50)),
                        .candidates = static_cast<std::size_t>(one_of(2) ? 0 : 1 + one_of(9)), .width = 30, .height = 20,
                        .window = {0, 0, 30, 25}};
  std::vector<Box> boxes;
  const std::vector<Candidate> found = detect(maps, defaults.data(), reading, boxes);
  check(found.size() <= reading.most, "at most as many as asked for");
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Box& box = boxes[found[i].row];
    check(found[i].score > reading.threshold && found[i].label >= 0 && found[i].label < slots - 1, "a score above the threshold");
    check(box.x0 >= 0 && box.x0 < box.x1 && box.x1 <= 30 && box.y0 >= 0 && box.y0 < box.y1 && box.y1 <= 20, "a box with an area");
    check(i == 0 || found[i - 1] < found[i], "best first");
    for (std::size_t j = 0; j < i; ++j)
      check(found[i].label != found[j].label || iou(box, boxes[found[j].row]) <= 0.5f, "no overlap within a class");
  }
}

}  // namespace

int main() {
  for (unsigned seed = 0; seed < 2000; ++seed) random_outputs(seed);
  std::vector<Candidate> none;
  check(suppress(nullptr, none, 0.5f, 10).empty(), "nothing of nothing");
  check(detect({}, nullptr, {.slots = 2, .most = 3}, *std::make_unique<std::vector<Box>>()).empty(), "no maps, no boxes");
}
