#include "checksum.h"

#include <algorithm>
#include <cstring>

namespace mobilenet {

Checksum checksum(const std::uint8_t* bytes, std::size_t size) {
  // Rows of words are added lane by lane, in vectors. The word of row i and lane l is in kLanes * (rows - i) - l of the first sums.
  constexpr std::size_t kLanes = 8;
  std::uint64_t row[kLanes], sums[kLanes] = {}, of_sums[kLanes] = {};
  std::size_t from = 0;
  for (; size - from >= sizeof row; from += sizeof row) {
    std::memcpy(row, bytes + from, sizeof row);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += row[lane];
      of_sums[lane] += sums[lane];
    }
  }
  Checksum both;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    both.sum += sums[lane];
    both.of_sums += kLanes * of_sums[lane] - lane * sums[lane];
  }
  for (std::uint64_t word; from < size; from += sizeof word) {
    word = 0;
    std::memcpy(&word, bytes + from, std::min(sizeof word, size - from));
    both.sum += word;
    both.of_sums += both.sum;
  }
  return both;
}

}  // namespace mobilenet
