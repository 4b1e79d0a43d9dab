// What a browser needs beside the C interface (../include/mobilenet.h): from outputs to boxes and masks. The names are exported by
// tools/build_web.py; the arguments come from src/mobilenet/web/package/engine.js, which checks them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../core/detections.h"
#include "../core/mask.h"

using namespace mobilenet;

extern "C" {

// `cells` and `anchors` are of each map. `found` gets x0, y0, x1, y1, score, class of at most `most` boxes with a score of at least
// `least`, best first. Returns how many they are, or -1 if an output is not finite.
int mobilenet_web_detections(int maps, const float* const* logits, const float* const* codes, const int* cells, const int* anchors,
                             const double* defaults, int slots, int softmax, int yxhw, float least, float iou, int most,
                             int candidates, double width, double height, double window_width, double window_height, float* found) {
  std::vector<HeadMap> heads;
  for (int i = 0; i < maps; ++i) {
    const long of_logits = static_cast<long>(cells[i]) * anchors[i] * slots, of_codes = static_cast<long>(cells[i]) * anchors[i] * 4;
    const auto finite = [](float x) { return std::isfinite(x); };
    if (!std::all_of(logits[i], logits[i] + of_logits, finite) || !std::all_of(codes[i], codes[i] + of_codes, finite)) return -1;
    heads.push_back({logits[i], codes[i], cells[i], anchors[i]});
  }
  const Reading reading{.slots = slots, .softmax = softmax != 0, .yxhw = yxhw != 0,
                        .threshold = std::max(std::nextafter(least, -1.0f), 0.0f), .iou = iou,
                        .most = static_cast<std::size_t>(most), .candidates = static_cast<std::size_t>(candidates), .width = width,
                        .height = height, .window = {0, 0, window_width, window_height}};
  std::vector<Box> boxes;
  const std::vector<Candidate> best = detect(heads, defaults, reading, boxes);
  for (const Candidate& each : best) {
    std::memcpy(found, &boxes[each.row], sizeof(Box));
    found[4] = each.score, found[5] = static_cast<float>(each.label);
    found += 6;
  }
  return static_cast<int>(best.size());
}

// `logits` are planes of rows x pitch, of which the upper left part of part_height x part_width shows the image. Fills the mask,
// height x width, and the mean probability of each class over the scores that it won. Returns whether all scores are finite.
int mobilenet_web_segments(const float* logits, int classes, int rows, int pitch, int part_width, int part_height, int width,
                           int height, std::uint8_t* mask, float* confidence) {
  const Scores scores{.values = logits, .bytes = nullptr, .zero = 0, .scale = 1, .classes = classes,
                      .plane = static_cast<long>(rows) * pitch, .pitch = pitch, .width = part_width, .height = part_height,
                      .logits = true};
  std::vector<std::uint8_t> won(static_cast<std::size_t>(part_width) * part_height);
  std::vector<double> sums(classes);
  std::vector<std::int64_t> counts(classes);
  if (!winners(scores, won.data(), sums.data(), counts.data())) return 0;
  for (int k = 0; k < classes; ++k)
    confidence[k] = static_cast<float>(sums[k] / static_cast<double>(std::max<std::int64_t>(counts[k], 1)));
  enlarge(scores, won.data(), places(part_height, height), places(part_width, width), mask);
  return 1;
}

}  // extern "C"
