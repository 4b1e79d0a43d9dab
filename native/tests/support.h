// What the native tests share.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

inline void check(bool holds, const char* what) {  // of its own, so that no string is made for each of millions of values
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::exit(1);
}

inline void check(bool holds, const std::string& what) { check(holds, what.c_str()); }

inline std::vector<float> noise(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = uniform(generator);
  return values;
}

// Numbers drawn from a seed.
class Draws {
 public:
  explicit Draws(unsigned seed) : generator_(seed) {}
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator_); }
  template <class T>
  T one_of(std::initializer_list<T> values) { return *(values.begin() + between(0, static_cast<int>(values.size()) - 1)); }

 protected:
  std::mt19937 generator_;
};
