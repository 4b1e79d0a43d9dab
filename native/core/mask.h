// From a segmenter's scores to a mask in the image's size. src/mobilenet/tasks/segmentation.py specifies it in numpy.
#pragma once

#include <cstdint>
#include <vector>

namespace mobilenet {

// Planes of scores, of which the upper left part shows the image: floats, or bytes that stand for (byte - zero) * scale.
struct Scores {
  const float* values;        // or null:
  const std::uint8_t* bytes;
  int zero;
  float scale;  // above 0
  int classes;            // at most 255
  long plane, pitch;      // scores from one class to the next, from one row to the next
  int width, height;      // of the part
  bool logits;            // or probabilities

  float real(std::uint8_t byte) const { return static_cast<float>(byte - zero) * scale; }
  float at(long place) const { return values ? values[place] : real(bytes[place]); }
};

// Where one of an axis' pixels lies among the scores: between two of them, and how near to the second.
struct Place {
  int before, after;
  float share;
};

// The places of `target` pixels among `size` scores, both measured to the edges; past the outer scores, those themselves.
std::vector<Place> places(int size, int target);

// The likeliest class of every score, the lower one if two are equal; (height, width). `sums` and `counts` get, for each class, the
// sum of its probabilities and the number of scores that it won. Returns whether all scores are finite. `lanes`: floats in a
// register of this process's instruction set; the bits do not depend on it.
bool winners(const Scores& scores, std::uint8_t* target, double* sums, std::int64_t* counts, int lanes = 4);

// The class of the largest score of every pixel, the lower one if two are equal; (height, width).
void largest(const std::uint8_t* planes, int classes, long pixels, std::uint8_t* target);

// How many of `pixels` bytes have each of the 256 values.
void count_values(const std::uint8_t* values, long pixels, std::int64_t* counts);

// The class of every pixel of an image of columns.size() x rows.size(): the likeliest after blending the four scores around it,
// or their winner if all four have the same.
void enlarge(const Scores& scores, const std::uint8_t* won, const std::vector<Place>& rows, const std::vector<Place>& columns,
             std::uint8_t* mask);

}  // namespace mobilenet
