// From a detector's outputs to boxes: scores above a threshold, decoded boxes, non-maximum suppression (NMS). The numpy code of
// src/mobilenet/tasks/detection.py and boxes.py specifies all of it; the order of the arithmetic here is the same.
#pragma once

#include <cstdint>
#include <vector>

namespace mobilenet {

struct Box {
  float x0, y0, x1, y1;  // corners; a box with x1 <= x0 or y1 <= y0 has no area and overlaps nothing
};

// A box's score for one class. `row` is the box's index.
struct Candidate {
  float score;
  std::int32_t label;
  std::int64_t row;

  // The order of all results: best first; of equal scores the lower class, then the lower row.
  bool operator<(const Candidate& other) const {
    if (score != other.score) return score > other.score;
    return label != other.label ? label < other.label : row < other.row;
  }
};

// The best of `candidates`, in order, at most `most`: none overlaps a better one of its class by an intersection over union
// above `iou`. Only the best `of_class` of each class are looked at, or all for 0. Finite numbers only. `candidates` is left in any
// order.
std::vector<Candidate> suppress(const Box* boxes, std::vector<Candidate>& candidates, float iou, std::size_t most,
                                std::size_t of_class = 0);

// The outputs of a detector on one feature map: planes of `cells` values.
struct HeadMap {
  const float* logits;  // anchors * slots planes, slot by slot, the background first
  const float* codes;   // anchors * 4 planes
  long cells;
  int anchors;
};

// How outputs are read; see `Decoding` in Python.
struct Reading {
  int slots;  // classes, and the background
  bool softmax, yxhw;
  float threshold, iou;    // both are exceeded, not reached
  std::size_t most;
  std::size_t candidates;  // of each class that enter NMS; 0 for all
  double width, height;    // of the image
  double window[4];        // x0, y0, x1, y1 that the network saw
};

// The detections of one image, best first. `defaults` are 4 numbers for each row: center x, y, width, height as shares of the
// window; row = first row of the map + cell * anchors + anchor. `boxes` gets a box for each row of a result.
std::vector<Candidate> detect(const std::vector<HeadMap>& maps, const double* defaults, const Reading& reading,
                              std::vector<Box>& boxes);

}  // namespace mobilenet
