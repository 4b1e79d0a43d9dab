// From a network's outputs to answers.
#include "../core/classes.h"
#include "../core/detections.h"
#include "../core/mask.h"
#include "../isa/isa.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <type_traits>

#include "arguments.h"

using namespace nanobind::literals;

namespace mobilenet {
namespace {

constexpr std::size_t kMaxClasses = 1 << 16;
constexpr std::size_t kMaxRows = 1 << 24;

void probabilities_of(Floats logits, std::size_t row, Array<float> probabilities) {
  require(logits.ndim() == 2 && row < logits.shape(0) && logits.shape(1) > 0 && probabilities.size() == logits.shape(1),
          "logits " + shape_of(logits) + ", row " + std::to_string(row) + ", probabilities " + shape_of(probabilities) +
              ": must be (N, K), below N, and (K,)");
  const std::size_t count = logits.shape(1);
  const float* const values = logits.data() + row * count;
  require(std::all_of(values, values + count, [](float value) { return std::isfinite(value); }), "logits: must be finite");
  softmax(values, count, probabilities.data());
}

// Writes as many results as there are, whose number is returned.
std::size_t nms(Floats boxes, Floats scores, Array<const std::int64_t> classes, double iou, Array<std::int64_t> selected) {
  const std::size_t count = scores.size();
  require(boxes.size() == 4 * count && classes.size() == count,
          "boxes " + shape_of(boxes) + ", scores " + shape_of(scores) + ", classes " + shape_of(classes) +
              ": must be (N, 4), (N,) and (N,)");
  std::vector<Candidate> candidates(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t label = classes.data()[i];
    require(label >= 0 && label < static_cast<std::int64_t>(kMaxClasses), "class " + std::to_string(label) + ": must be from 0 to " +
                                                                              std::to_string(kMaxClasses - 1));
    bool finite = std::isfinite(scores.data()[i]);
    for (int k = 0; k < 4; ++k) finite = finite && std::isfinite(boxes.data()[4 * i + k]);
    require(finite, "box " + std::to_string(i) + ": it and its score must be finite");
    candidates[i] = {scores.data()[i], static_cast<std::int32_t>(label), static_cast<std::int64_t>(i)};
  }
  nb::gil_scoped_release unlocked;
  const auto kept = suppress(reinterpret_cast<const Box*>(boxes.data()), candidates, static_cast<float>(iou), selected.size());
  for (std::size_t i = 0; i < kept.size(); ++i) selected.data()[i] = kept[i].row;
  return kept.size();
}

std::size_t detections(const std::vector<Floats>& logits, const std::vector<Floats>& codes, Array<const double> defaults, int slots,
                       bool softmax, bool yxhw, double threshold, double iou, std::size_t candidates,
                       std::tuple<double, double> size, std::tuple<double, double, double, double> window, Array<float> boxes,
                       Array<float> scores, Array<std::int64_t> classes) {
  require(slots >= 2 && static_cast<std::size_t>(slots) <= kMaxClasses, "slots " + std::to_string(slots) + ": must be 2 to " +
                                                                             std::to_string(kMaxClasses));
  require(threshold >= 0 && threshold <= 1 && iou >= 0 && iou <= 1, "threshold and iou: must be from 0 to 1");
  require(logits.size() == codes.size(), "logits and codes: must be as many");
  std::vector<HeadMap> maps;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const Floats &a = logits[i], &b = codes[i];
    require(a.ndim() == 3 && b.ndim() == 3 && a.shape(1) == b.shape(1) && a.shape(2) == b.shape(2) && a.shape(0) % slots == 0 &&
                b.shape(0) == a.shape(0) / slots * 4,
            "logits " + shape_of(a) + " and codes " + shape_of(b) + ": must be (anchors * " + std::to_string(slots) +
                ", H, W) and (anchors * 4, H, W)");
    const std::size_t anchors = a.shape(0) / slots, cells = a.shape(1) * a.shape(2);
    require(anchors <= kMaxRows && cells <= kMaxRows && (rows += anchors * cells) <= kMaxRows, "more boxes than " +
                                                                                                   std::to_string(kMaxRows));
    maps.push_back({a.data(), b.data(), static_cast<long>(cells), static_cast<int>(anchors)});
  }
  require(defaults.size() == 4 * rows, "default boxes " + shape_of(defaults) + ": must be (" + std::to_string(rows) + ", 4)");
  const std::size_t most = scores.size();
  require(boxes.size() == 4 * most && classes.size() == most, "boxes, scores, classes: must have room for as many results");
  Reading reading{.slots = slots, .softmax = softmax, .yxhw = yxhw, .threshold = static_cast<float>(threshold),
                  .iou = static_cast<float>(iou), .most = most, .candidates = candidates, .width = std::get<0>(size),
                  .height = std::get<1>(size),
                  .window = {std::get<0>(window), std::get<1>(window), std::get<2>(window), std::get<3>(window)}};
  nb::gil_scoped_release unlocked;
  std::vector<Box> all;
  const std::vector<Candidate> found = detect(maps, defaults.data(), reading, all);
  for (std::size_t i = 0; i < found.size(); ++i) {
    reinterpret_cast<Box*>(boxes.data())[i] = all[found[i].row];
    scores.data()[i] = found[i].score;
    classes.data()[i] = found[i].label;
  }
  return found.size();
}

using Mask = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class Score>
using Planes = nb::ndarray<const Score, nb::ndim<3>, nb::device::cpu>;

// Fills the mask and the confidences; false if a score is NaN or infinite. Bytes stand for (byte - zero) * scale.
template <class Score>
bool segment(Planes<Score> scores, int zero, float scale, bool logits, Mask mask, Array<float> confidence, const std::string& isa) {
  require(scores.shape(0) >= 1 && scores.shape(0) <= 255 && scores.size() > 0 && scores.shape(1) <= kMaxRows &&
              scores.shape(2) <= kMaxRows && scores.stride(2) == 1,
          "scores " + shape_of(scores) + ": must be (K, H, W), K from 1 to 255, with rows in one piece");
  require(mask.size() > 0 && mask.shape(0) < (std::size_t{1} << 30) && mask.shape(1) < (std::size_t{1} << 30),
          "mask " + shape_of(mask) + ": must be (H, W) with no empty side");
  require(confidence.size() == scores.shape(0), "confidence " + shape_of(confidence) + ": must be (K,)");
  require(scale > 0 && std::isfinite(scale) && zero >= 0 && zero <= 255, "scale and zero: must be above 0, and a byte");
  const float* values = nullptr;
  const std::uint8_t* bytes = nullptr;
  if constexpr (std::is_same_v<Score, float>)
    values = scores.data();
  else
    bytes = scores.data();
  const Scores all{.values = values, .bytes = bytes, .zero = zero, .scale = scale,
                   .classes = static_cast<int>(scores.shape(0)), .plane = scores.stride(0), .pitch = scores.stride(1),
                   .width = static_cast<int>(scores.shape(2)), .height = static_cast<int>(scores.shape(1)), .logits = logits};
  const int lanes = kernels_for(isa).f32.lanes;
  nb::gil_scoped_release unlocked;
  std::vector<std::uint8_t> won(static_cast<std::size_t>(all.width) * all.height);
  std::vector<double> sums(all.classes);
  std::vector<std::int64_t> counts(all.classes);
  if (!winners(all, won.data(), sums.data(), counts.data(), lanes)) return false;
  for (int k = 0; k < all.classes; ++k)
    confidence.data()[k] = static_cast<float>(sums[k] / static_cast<double>(std::max<std::int64_t>(counts[k], 1)));
  enlarge(all, won.data(), places(all.height, static_cast<int>(mask.shape(0))), places(all.width, static_cast<int>(mask.shape(1))),
          mask.data());
  return true;
}

void largest_of(Array<const std::uint8_t> planes, Array<std::uint8_t> target) {
  require(planes.ndim() == 3 && planes.shape(0) >= 1 && planes.shape(0) <= 255 &&
              target.size() == planes.shape(1) * planes.shape(2),
          "planes " + shape_of(planes) + " and target " + shape_of(target) + ": must be (K, H, W), K from 1 to 255, and (H, W)");
  nb::gil_scoped_release unlocked;
  largest(planes.data(), static_cast<int>(planes.shape(0)), static_cast<long>(target.size()), target.data());
}

}  // namespace

void bind_answers(nb::module_& m) {
  m.def("softmax", &probabilities_of, "logits"_a, "row"_a, "probabilities"_a, "The probabilities of a row of (N, K) logits.");
  m.def("likeliest", [](Floats values, std::size_t most) { return largest_first(values.data(), values.size(), most); }, "values"_a,
        "most"_a, "The indices of the largest values, the largest first, of equal ones the lower index; not-a-number is last.");
  m.def("nms", &nms, "boxes"_a, "scores"_a, "classes"_a, "iou"_a, "selected"_a,
        "Indices of the best boxes, none of which overlaps a better one of its class by more than `iou`; returns their number.");
  m.def("detections", &detections, "logits"_a, "codes"_a, "defaults"_a, "slots"_a, "softmax"_a, "yxhw"_a, "threshold"_a, "iou"_a,
        "candidates"_a, "size"_a, "window"_a, "boxes"_a, "scores"_a, "classes"_a,
        "The detections of one image from the planes of each feature map; returns their number.");
  m.def("segment",
        [](Planes<float> scores, bool logits, Mask mask, Array<float> confidence, const std::string& isa) {
          return segment(scores, 0, 1.0f, logits, mask, confidence, isa);
        },
        "scores"_a, "logits"_a, "mask"_a, "confidence"_a, "isa"_a = "",
        "The class of every pixel of an image, and the mean probability of each class; false if a score is not finite.");
  m.def("segment_bytes",
        [](Planes<std::uint8_t> logits, int zero, float scale, Mask mask, Array<float> confidence, const std::string& isa) {
          segment(logits, zero, scale, true, mask, confidence, isa);
        },
        "logits"_a, "zero"_a, "scale"_a, "mask"_a, "confidence"_a, "isa"_a = "", "The same of logits (byte - zero) * scale.");
  m.def("count_values",
        [](Bytes values, Array<std::int64_t> counts) {
          require(counts.size() == 256, "counts " + shape_of(counts) + ": must be (256,)");
          nb::gil_scoped_release unlocked;
          count_values(values.data(), static_cast<long>(values.size()), counts.data());
        },
        "values"_a, "counts"_a, "How many bytes have each value.");
  m.def("largest", &largest_of, "planes"_a, "target"_a,
        "The index of the largest of K bytes at every pixel, the lower one if two are equal.");
}

}  // namespace mobilenet
