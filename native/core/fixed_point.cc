#include "fixed_point.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "../kernels/i8/requantize.h"

namespace mobilenet::i8 {
namespace {

constexpr int kMaxSlopes = 40;      // slopes that are tried until one leaves room for an offset,
constexpr int kNeighbors = 12;      // and float32 numbers beside that one, for which roundings fall differently
constexpr float kLargest = 1 << 30;  // of a result, which becomes an integer of 32 bits

// What one sum must become: at least `result`, or less.
struct Bound {
  std::int64_t sum;
  int result;
  bool reached;
};

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0); }

// Both sides of every step, and the ends, between which there are no other steps.
std::vector<Bound> bounds_of(const Scaling& s) {
  const auto rounded = [&](std::int64_t sum) { return fixed_point(sum, s.fraction, s.exponent); };
  const std::int64_t from = std::max<std::int64_t>(s.low, rounded(s.least)), upto = std::min<std::int64_t>(s.high, rounded(s.largest));
  const int left = std::max<int>(s.exponent, 0), right = std::max<int>(-s.exponent, 0);
  std::vector<Bound> bounds;
  if (rounded(s.least) > s.low) bounds.push_back({s.least, static_cast<int>(from), true});
  for (std::int64_t q = from + 1; q <= upto; ++q) {
    // The least number that the second rounding makes q, then the first sum that the first rounding makes that number.
    const std::int64_t half = (std::int64_t{1} << right) >> 1, high = (q << right) - half + (q <= 0 && right > 0);
    const std::int64_t product = (high << 31) - (std::int64_t{1} << 30);
    const std::int64_t first = divided_up(product, std::int64_t{s.fraction} << left);
    bounds.push_back({first - 1, static_cast<int>(q), false}), bounds.push_back({first, static_cast<int>(q), true});
  }
  if (rounded(s.largest) < s.high) bounds.push_back({s.largest, static_cast<int>(upto) + 1, false});
  return bounds;
}

// x * y + z, rounded once.
float fused_sum(float x, float y, float z) {
#ifdef __wasm__
  // The C library's fmaf rounds sums that are nearly halfway wrong: it needs a rounding mode that WebAssembly does not have. So the
  // sum of doubles becomes the odd neighbor if it is not exact; then a second rounding changes nothing.
  const double product = double{x} * y, sum = product + z, part = sum - product;
  const double error = (product - (sum - part)) + (z - part);
  const auto bits = std::bit_cast<std::int64_t>(sum);
  if (error == 0 || (bits & 1)) return static_cast<float>(sum);
  return static_cast<float>(std::bit_cast<double>(bits + ((error < 0) == (sum < 0) ? 1 : -1)));
#else
  return std::fma(x, y, z);
#endif
}

float at(std::int64_t sum, float scale, float offset) {
  const auto x = static_cast<float>(sum);
  return fused_sum(x, scale, std::copysign(offset, x));
}

// The offsets that are right for one scale, but for the roundings of float32; and the sums that bound them.
struct Room {
  double least = 0, most = 0.5;
  std::int64_t least_sum = 0, most_sum = 0;

  Room(const std::vector<Bound>& bounds, double scale) {
    for (const Bound& b : bounds) {
      const bool negative = b.sum < 0;  // then the offset counts downward
      const double over = static_cast<double>(b.sum) * scale - (b.result - 0.5), bound = negative ? over : -over;
      const std::int64_t size = negative ? -b.sum : b.sum;
      if (b.reached != negative) {
        if (bound > least) least = bound, least_sum = size;
      } else if (bound < most) {
        most = bound, most_sum = size;
      }
    }
  }
};

// A float32 of the size of a byte is within 2^-16 of what it was rounded from, so only what is nearer to a middle needs a look.
bool right_everywhere(const std::vector<Bound>& bounds, float scale, float offset) {
  constexpr double near = 1.0 / (1 << 15);
  return std::all_of(bounds.begin(), bounds.end(), [&](const Bound& b) {
    const double exact = static_cast<double>(b.sum) * scale + (b.sum < 0 ? -offset : offset), over = exact - (b.result - 0.5);
    if (over > near || over < -near) return (over > 0) == b.reached;
    return (std::nearbyint(at(b.sum, scale, offset)) >= static_cast<float>(b.result)) == b.reached;
  });
}

}  // namespace

Fused fused(const Scaling& s) {
  if (s.fraction == 0) return {.proved = true, .scale = 0, .offset = 0};
  const std::vector<Bound> bounds = bounds_of(s);
  double scale = std::ldexp(static_cast<double>(s.fraction), s.exponent - 31), least = 0, most = 2 * scale;
  for (int slope = 0; slope < kMaxSlopes && least < most; ++slope) {
    const Room room(bounds, scale);
    if (room.least < room.most) break;
    // Two steps contradict each other. As the scale grows, room opens between them or closes.
    const std::int64_t opens = room.least_sum - room.most_sum;
    if (opens == 0) return {};
    (opens > 0 ? least : most) = scale;
    const double next = scale + 1.25 * (room.least - room.most) / static_cast<double>(opens);
    scale = next > least && next < most ? next : (least + most) / 2;
  }
  const auto middle = static_cast<float>(scale);
  for (int neighbor = 0; neighbor <= 2 * kNeighbors; ++neighbor) {
    float tried = middle;
    for (int i = 0; i < (neighbor + 1) / 2; ++i) tried = std::nextafter(tried, neighbor % 2 ? 2 * middle : 0.0f);
    const Room room(bounds, tried);
    if (room.least > room.most) continue;
    for (const double share : {0.5, 0.3, 0.7, 0.1, 0.9}) {
      const auto offset = static_cast<float>(room.least + share * (room.most - room.least));
      if (!right_everywhere(bounds, tried, offset)) continue;
      const bool narrow = at(s.least, tried, offset) >= -kLargest && at(s.largest, tried, offset) <= kLargest;
      return {.proved = narrow, .scale = tried, .offset = offset};
    }
  }
  return {};
}

}  // namespace mobilenet::i8
