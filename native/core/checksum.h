// A checksum that finds accidents, for example of a disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mobilenet {

// Two sums modulo 2^64 of bytes, read as little-endian words of 8, the last filled up with zeros: of the words, and of the
// first sum after each word, which tells their order. A word that changes always changes the first.
struct Checksum {
  std::uint64_t sum = 0, of_sums = 0;
};

Checksum checksum(const std::uint8_t* bytes, std::size_t size);

}  // namespace mobilenet
