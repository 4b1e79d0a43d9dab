#include "mask.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mobilenet {
namespace {

constexpr int kSpan = 64;  // pixels whose values are kept at once

// What is inlined here is compiled twice on x86-64: for the baseline's vectors of 4, and for AVX2's of 8, with the same bits.
#define INLINED [[gnu::always_inline]] inline

constexpr float kLowest = -87.0f;

// e to a power from kLowest to 0, within 2 units in the last place; plain arithmetic, so that compilers work on several at once.
INLINED float exponential(float x) {
  const int power = static_cast<int>(x * 1.44269504f - 0.5f);
  const float rest = (x - power * 0.693359375f) - power * -2.12194440e-4f;
  float sum = 1.9875691500e-4f;  // written out: compilers give a loop over the factors no vectors
  sum = sum * rest + 1.3981999507e-3f;
  sum = sum * rest + 8.3334519073e-3f;
  sum = sum * rest + 4.1665795894e-2f;
  sum = sum * rest + 1.6666665459e-1f;
  sum = sum * rest + 5.0000001201e-1f;
  sum = sum * rest * rest + rest + 1;
  const std::int32_t bits = (power + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return sum * scale;
}

INLINED bool winners_of(const Scores& s, std::uint8_t* target, double* sums, std::int64_t* counts) {
  std::fill_n(sums, s.classes, 0.0), std::fill_n(counts, s.classes, 0);
  int odd = 0;
  float best[kSpan], total[kSpan], powers[kSpan];
  std::int32_t index[kSpan];
  std::vector<float> real(s.values ? 0 : static_cast<std::size_t>(s.classes) * kSpan);  // of bytes
  const long plane = s.values ? s.plane : kSpan;
  for (int y = 0; y < s.height; ++y)
    for (int x = 0; x < s.width; x += kSpan) {
      const long start = y * s.pitch + x;
      const int count = std::min(kSpan, s.width - x);
      if (!s.values)
        for (int k = 0; k < s.classes; ++k) {
          const std::uint8_t* const bytes = s.bytes + k * s.plane + start;
          for (int i = 0; i < count; ++i) real[static_cast<std::size_t>(k) * kSpan + i] = s.real(bytes[i]);
        }
      const float* const from = s.values ? s.values + start : real.data();
      std::copy_n(from, count, best), std::fill_n(index, count, 0), std::fill_n(total, count, 0.0f);
      for (int k = 0; k < s.classes; ++k) {
        const float* const values = from + k * plane;
        for (int i = 0; i < count; ++i) {
          odd |= !(values[i] - values[i] == 0);  // not-a-number and infinity
          index[i] = values[i] > best[i] ? k : index[i];
          best[i] = values[i] > best[i] ? values[i] : best[i];
        }
      }
      if (s.logits)
        for (int k = 0; k < s.classes; ++k) {
          const float* const values = from + k * plane;
          for (int i = 0; i < count; ++i) {
            const float power = values[i] - best[i];
            powers[i] = power > kLowest ? power : kLowest;  // also for not-a-number
          }
          for (int i = 0; i < count; ++i) total[i] += exponential(powers[i]);  // apart: gcc makes branches of a limit in here
        }
      for (int i = 0; i < count; ++i) {
        sums[index[i]] += s.logits ? 1 / total[i] : best[i];
        ++counts[index[i]];
        target[static_cast<long>(y) * s.width + x + i] = static_cast<std::uint8_t>(index[i]);
      }
    }
  return !odd;
}

#ifdef MOBILENET_X86
[[gnu::target("avx2")]] bool winners_avx2(const Scores& s, std::uint8_t* target, double* sums, std::int64_t* counts) {
  return winners_of(s, target, sums, counts);
}
#endif

}  // namespace

std::vector<Place> places(int size, int target) {
  std::vector<Place> all(target);
  for (int i = 0; i < target; ++i) {
    const double place = std::max((i + 0.5) * size / target - 0.5, 0.0);
    const int before = std::min(static_cast<int>(place), size - 1);
    all[i] = {before, std::min(before + 1, size - 1), static_cast<float>(std::min(place - before, 1.0))};
  }
  return all;
}

void largest(const std::uint8_t* planes, int classes, long pixels, std::uint8_t* target) {
  std::uint8_t best[kSpan], index[kSpan];
  for (long x = 0; x < pixels; x += kSpan) {
    const int count = static_cast<int>(std::min<long>(kSpan, pixels - x));
    std::copy_n(planes + x, count, best), std::fill_n(index, count, std::uint8_t{0});
    for (int k = 1; k < classes; ++k) {
      const std::uint8_t* const values = planes + k * pixels + x;
      const auto better = [&](int i) {
        index[i] = values[i] > best[i] ? static_cast<std::uint8_t>(k) : index[i];
        best[i] = values[i] > best[i] ? values[i] : best[i];
      };
      if (count == kSpan)
        for (int i = 0; i < kSpan; ++i) better(i);  // a length that the compiler knows
      else
        for (int i = 0; i < count; ++i) better(i);
    }
    std::copy_n(index, count, target + x);
  }
}

void count_values(const std::uint8_t* values, long pixels, std::int64_t* counts) {
  std::fill_n(counts, 256, std::int64_t{0});
  for (; pixels >= kSpan; values += kSpan, pixels -= kSpan)
    if (std::memcmp(values, values + 1, kSpan - 1) == 0)
      counts[*values] += kSpan;  // all alike, as in most of a mask
    else
      for (int i = 0; i < kSpan; ++i) ++counts[values[i]];
  for (; pixels > 0; --pixels) ++counts[*values++];
}

bool winners(const Scores& s, std::uint8_t* target, double* sums, std::int64_t* counts, int lanes) {
#ifdef MOBILENET_X86
  if (lanes >= 8) return winners_avx2(s, target, sums, counts);
#endif
  static_cast<void>(lanes);
  return winners_of(s, target, sums, counts);
}

namespace {

// Pixels `begin` to `end` of a row, all between the same two columns of scores.
void blend(const Scores& s, const Place& row, const std::vector<Place>& columns, int begin, int end, std::uint8_t* mask) {
  const long above = row.before * s.pitch, below = row.after * s.pitch;
  const int before = columns[begin].before, after = columns[begin].after;
  const float up = 1 - row.share;
  float best[kSpan];
  std::int32_t index[kSpan];
  for (; begin < end; begin += kSpan) {
    const int count = std::min(kSpan, end - begin);
    for (int k = 0; k < s.classes; ++k) {
      const auto column = [&](int x) { return s.at(k * s.plane + above + x) * up + s.at(k * s.plane + below + x) * row.share; };
      const float left = column(before), right = column(after);
      for (int i = 0; i < count; ++i) {
        const float share = columns[begin + i].share, value = left * (1 - share) + right * share;
        const bool better = k == 0 || value > best[i];
        index[i] = better ? k : index[i];
        best[i] = better ? value : best[i];
      }
    }
    for (int i = 0; i < count; ++i) mask[begin + i] = static_cast<std::uint8_t>(index[i]);
  }
}

}  // namespace

void enlarge(const Scores& s, const std::uint8_t* won, const std::vector<Place>& rows, const std::vector<Place>& columns,
             std::uint8_t* mask) {
  const int width = static_cast<int>(columns.size());
  std::vector<int> ends;  // of the pixels between the same two columns
  for (int x = 1; x <= width; ++x)
    if (x == width || columns[x].before != columns[x - 1].before) ends.push_back(x);
  for (const Place& row : rows) {
    const std::uint8_t* const above = won + static_cast<long>(row.before) * s.width;
    const std::uint8_t* const below = won + static_cast<long>(row.after) * s.width;
    int begin = 0, same_from = 0;  // pixels from same_from on have one winner, and are not written yet
    int same = -1;
    const auto write = [&](int end) {
      if (same >= 0) std::memset(mask + same_from, same, end - same_from);
    };
    for (const int end : ends) {
      const Place& place = columns[begin];
      const int winner = above[place.before];
      const bool agreed = above[place.after] == winner && below[place.before] == winner && below[place.after] == winner;
      if (!agreed || winner != same) {
        write(begin);
        same = agreed ? winner : -1, same_from = begin;
      }
      if (!agreed) blend(s, row, columns, begin, end, mask);
      begin = end;
    }
    write(width);
    mask += width;
  }
}

}  // namespace mobilenet
