// What the harnesses share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

inline std::vector<float> values(std::size_t count) {
  std::vector<float> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<float>(i % 17) / 8 - 1;
  return made;
}

// Reads an input from its start; zeros follow its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}

  std::size_t left() const { return left_; }

  int byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }

  std::vector<float> floats(std::size_t count) {
    std::vector<float> taken(count);
    const std::size_t bytes = std::min(left_, 4 * count);
    if (bytes > 0) std::memcpy(taken.data(), at_, bytes);
    at_ += bytes, left_ -= bytes;
    return taken;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}
