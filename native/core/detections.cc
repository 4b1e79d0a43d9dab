#include "detections.h"

#include <algorithm>
#include <cmath>

namespace mobilenet {
namespace {

constexpr double kCenterScale = 10, kSideScale = 5;  // of a box code
const double kMaxLogScale = std::log(1000.0 / 16);   // the limit of a decoded side's logarithm
constexpr int kScan = 16;                            // logits that are compared at once

float area(const Box& box) {
  const float width = box.x1 - box.x0, height = box.y1 - box.y0;
  return (width > 0 ? width : 0) * (height > 0 ? height : 0);
}

bool overlaps(const Box& a, float area_a, const Box& b, float area_b, float iou) {
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0), height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  float overlap = (width > 0 ? width : 0) * (height > 0 ? height : 0);
  if (!(area_a > 0 && area_b > 0)) overlap = 0;  // two inverted boxes may have an overlap
  const float both = area_a + area_b - overlap;
  return (both > 0 ? overlap / both : 0) > iou;
}

// The least logit whose score may be above `threshold`, with a margin for the roundings of both directions.
double least_logit(double threshold, bool softmax) {
  const double exact = softmax ? std::log(threshold) : std::log(threshold / (1 - threshold));
  return exact - 1e-6 * (1 + std::abs(exact));  // minus infinity for 0, plus infinity for a sigmoid's 1: the margin is no number
}

float sigmoid(double x) {
  const double small = std::exp(-std::abs(x));  // no overflow for either sign
  return static_cast<float>(x >= 0 ? 1 / (1 + small) : small / (1 + small));
}

class Reader {
 public:
  Reader(const double* defaults, const Reading& reading, std::vector<Box>& boxes)
      : defaults_(defaults), reading_(reading), boxes_(boxes), known_(boxes.size(), 0) {}

  std::vector<Candidate> found;

  void read(const HeadMap& map, long first) {
    map_ = &map, first_ = first;
    for (int anchor = 0; anchor < map.anchors; ++anchor)
      reading_.softmax ? read_softmax(anchor) : read_sigmoid(anchor);
  }

 private:
  const float* plane(int anchor, int slot) const {
    return map_->logits + (static_cast<long>(anchor) * reading_.slots + slot) * map_->cells;
  }

  void read_sigmoid(int anchor) {
    const float threshold = reading_.threshold;
    double bound = threshold > 0 ? least_logit(threshold, false) : -HUGE_VAL;
    if (std::isnan(bound)) return;  // a score is never above 1
    const float least = std::nextafter(static_cast<float>(bound), -HUGE_VALF);
    for (int slot = 1; slot < reading_.slots; ++slot) {
      const float* const logits = plane(anchor, slot);
      for (long start = 0; start < map_->cells; start += kScan) {
        const int count = static_cast<int>(std::min<long>(kScan, map_->cells - start));
        int any = 0;
        for (int i = 0; i < count; ++i) any |= logits[start + i] >= least;
        if (!any) continue;
        for (long cell = start; cell < start + count; ++cell)
          if (logits[cell] >= least) add(anchor, cell, slot, sigmoid(logits[cell]));
      }
    }
  }

  void read_softmax(int anchor) {
    highest_.assign(plane(anchor, 0), plane(anchor, 0) + map_->cells);
    for (int slot = 1; slot < reading_.slots; ++slot) {
      const float* const logits = plane(anchor, slot);
      for (long cell = 0; cell < map_->cells; ++cell) highest_[cell] = std::max(highest_[cell], logits[cell]);
    }
    const double bound = reading_.threshold > 0 ? least_logit(reading_.threshold, true) : -HUGE_VAL;
    sums_.assign(map_->cells, 0);
    for (int slot = 1; slot < reading_.slots; ++slot) {
      const float* const logits = plane(anchor, slot);
      for (long cell = 0; cell < map_->cells; ++cell) {
        const double below = static_cast<double>(logits[cell]) - highest_[cell];
        if (!(below >= bound)) continue;  // its score is at most exp(below)
        if (sums_[cell] == 0) sums_[cell] = sum(anchor, cell);
        add(anchor, cell, slot, static_cast<float>(std::exp(below) / sums_[cell]));
      }
    }
  }

  double sum(int anchor, long cell) const {
    double total = 0;
    for (int slot = 0; slot < reading_.slots; ++slot)
      total += std::exp(static_cast<double>(plane(anchor, slot)[cell]) - highest_[cell]);
    return total;
  }

  void add(int anchor, long cell, int slot, float score) {
    const long row = first_ + cell * map_->anchors + anchor;
    if (!(score > reading_.threshold) || !has_area(row, anchor, cell)) return;
    found.push_back({score, slot - 1, row});
  }

  bool has_area(long row, int anchor, long cell) {
    if (!known_[row]) {
      boxes_[row] = decode(row, anchor, cell);
      known_[row] = area(boxes_[row]) > 0 ? 1 : 2;  // not-a-number is no area
    }
    return known_[row] == 1;
  }

  Box decode(long row, int anchor, long cell) const {
    const float* const codes = map_->codes + static_cast<long>(anchor) * 4 * map_->cells + cell;
    const int x = reading_.yxhw ? 1 : 0;
    const double* const box = defaults_ + row * 4;
    const double* const window = reading_.window;
    double low[2], high[2];
    for (int axis = 0; axis < 2; ++axis) {
      const int place = axis ^ x;
      const double center = codes[place * map_->cells] / kCenterScale * box[2 + axis] + box[axis];
      const double side = std::exp(std::min(codes[(2 + place) * map_->cells] / kSideScale, kMaxLogScale)) * box[2 + axis];
      const double limit = axis ? reading_.height : reading_.width, length = window[2 + axis] - window[axis];
      const auto inside = [&](double value) {
        value = value * length + window[axis];
        value = value < 0 ? 0 : value;  // not-a-number stays
        return value > limit ? limit : value;
      };
      low[axis] = inside(center - side / 2), high[axis] = inside(center + side / 2);
    }
    return {static_cast<float>(low[0]), static_cast<float>(low[1]), static_cast<float>(high[0]), static_cast<float>(high[1])};
  }

  const double* defaults_;
  const Reading& reading_;
  std::vector<Box>& boxes_;
  std::vector<char> known_;  // for each row: 0 not decoded yet, 1 with an area, 2 without
  const HeadMap* map_ = nullptr;
  long first_ = 0;
  std::vector<float> highest_;
  std::vector<double> sums_;
};

}  // namespace

std::vector<Candidate> suppress(const Box* boxes, std::vector<Candidate>& candidates, float iou, std::size_t most,
                                std::size_t of_class) {
  const auto worse = [](const Candidate& a, const Candidate& b) { return b < a; };
  std::make_heap(candidates.begin(), candidates.end(), worse);  // few are taken, so not all are sorted
  std::vector<Candidate> kept;
  std::vector<float> areas;
  std::vector<std::int64_t> last_of_class, previous;  // chains of the kept boxes of each class, from the last one back
  std::vector<std::size_t> seen;                      // of each class
  auto end = candidates.end();
  while (end != candidates.begin() && kept.size() < most) {
    std::pop_heap(candidates.begin(), end--, worse);
    const Candidate& best = *end;
    const Box& box = boxes[best.row];
    const float own = area(box);
    if (last_of_class.size() <= static_cast<std::size_t>(best.label)) last_of_class.resize(best.label + 1, -1), seen.resize(best.label + 1);
    if (of_class && ++seen[best.label] > of_class) continue;
    std::int64_t other = last_of_class[best.label];
    while (other >= 0 && !overlaps(boxes[kept[other].row], areas[other], box, own, iou)) other = previous[other];
    if (other >= 0) continue;
    previous.push_back(last_of_class[best.label]);
    last_of_class[best.label] = static_cast<std::int64_t>(kept.size());
    kept.push_back(best);
    areas.push_back(own);
  }
  return kept;
}

std::vector<Candidate> detect(const std::vector<HeadMap>& maps, const double* defaults, const Reading& reading,
                              std::vector<Box>& boxes) {
  long rows = 0;
  for (const HeadMap& map : maps) rows += map.cells * map.anchors;
  boxes.resize(rows);
  Reader reader(defaults, reading, boxes);
  long first = 0;
  for (const HeadMap& map : maps) {
    reader.read(map, first);
    first += map.cells * map.anchors;
  }
  return suppress(boxes.data(), reader.found, reading.iou, reading.most, reading.candidates);
}

}  // namespace mobilenet
