// From a classifier's logits to the probabilities of its classes, and the likeliest of them: what tasks/classification.py says, to
// the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace mobilenet {

// The sum of finite values, rounded once, as Python's math.fsum makes it: the partial sums of Shewchuk's algorithm do not overlap.
inline double rounded_once(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : partials) {
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y, low = y - (high - x);
      if (low != 0) partials[kept++] = low;
      x = high;
    }
    partials.resize(kept);
    partials.push_back(x);
  }
  if (partials.empty()) return 0;
  std::size_t left = partials.size() - 1;
  double high = partials[left], low = 0;
  while (left > 0 && low == 0) {
    const double x = high, y = partials[--left];
    high = x + y;
    low = y - (high - x);
  }
  // A half is rounded to even, unless what is left says on which side of the half the sum lies.
  if (left > 0 && ((low < 0 && partials[left - 1] < 0) || (low > 0 && partials[left - 1] > 0))) {
    const double twice = 2 * low, x = high + twice;
    if (x - high == twice) high = x;
  }
  return high;
}

// `count` finite logits, at least one.
inline void softmax(const float* logits, std::size_t count, float* probabilities) {
  const double highest = *std::max_element(logits, logits + count);
  std::vector<double> powers(count);
  for (std::size_t i = 0; i < count; ++i) powers[i] = std::exp(logits[i] - highest);
  const double total = rounded_once(powers);
  for (std::size_t i = 0; i < count; ++i) probabilities[i] = static_cast<float>(powers[i] / total);
}

// The indices of the `most` largest values, the largest first, of equal ones the lower index first. Not-a-number is last.
inline std::vector<std::size_t> largest_first(const float* values, std::size_t count, std::size_t most) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto rank = [&](std::size_t i) { return std::isnan(values[i]) ? -1.0f : values[i]; };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(std::min(most, count));
  std::partial_sort(order.begin(), end, order.end(), [&](std::size_t a, std::size_t b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
  });
  order.erase(end, order.end());
  return order;
}

}  // namespace mobilenet
