// The contract of a vector type: each operation against plain C, on random and on awkward values.
//
// Compiled once for each instruction set, with its flags and VECTOR, VECTOR_HEADER and CONTRACT (the function's name)
// defined; and once without them, for `main`. The part with flags uses no library templates: the linker could otherwise
// put code of an instruction set that the processor lacks into `main`.
#ifdef VECTOR

#include VECTOR_HEADER

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

using V = mobilenet::VECTOR;

const float kAwkward[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.1f, -0.1f, 6.0f, 5.9999995f, 1e-45f, -1e-45f, 1.1754942e-38f,
                          1.17549435e-38f, 3.4028235e38f, -3.4028235e38f, INFINITY, -INFINITY, NAN, 16777216.0f, 16777217.0f,
                          0.33333334f, 1.0000001f, 0.99999994f, 2.5f, -2.5f};
constexpr int kNumAwkward = sizeof(kAwkward) / sizeof(float);

void check(bool holds, const char* operation) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s %s\n", V::name, operation);
  std::exit(1);
}

bool same(float a, float b) {  // to the bit, and any NaN for any NaN
  return (a != a && b != b) || std::memcmp(&a, &b, sizeof(float)) == 0;
}

// Awkward values first, then all bit patterns alike.
float value(int i) {
  static std::uint32_t state = 1;
  if (i % 3 == 0) return kAwkward[i / 3 % kNumAwkward];
  state = state * 1664525u + 1013904223u;
  float x;
  if (i % 3 == 1) {
    std::memcpy(&x, &state, sizeof(x));
    return x;
  }
  return static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
}

template <class Operation, class Expected>
void each_lane(const char* name, Operation operation, Expected expected) {
  float a[V::lanes + 1], b[V::lanes + 1], c[V::lanes + 1], result[V::lanes + 1];
  for (int round = 0; round < 20000; ++round) {
    for (int i = 0; i < V::lanes; ++i) {
      a[i + 1] = value(round + 3 * i);
      b[i + 1] = value(round / 7 + 5 * i + 1);
      c[i + 1] = value(round / 49 + 7 * i + 2);
    }
    V::store(result + 1, operation(V::load(a + 1), V::load(b + 1), V::load(c + 1)));  // not aligned, on purpose
    for (int i = 1; i <= V::lanes; ++i) check(expected(a[i], b[i], c[i], result[i]), name);
  }
}

template <class W>
void half_blocks() {
  if constexpr (W::lanes == 16) {
    float a[16], b[16], result[16];
    for (int i = 0; i < 16; ++i) a[i] = static_cast<float>(i), b[i] = static_cast<float>(100 + i);
    const auto expect = [&](const char* name, typename W::Register x, auto expected) {
      W::store(result, x);
      for (int i = 0; i < 16; ++i) check(result[i] == expected(i), name);
    };
    expect("twice", W::twice(W::load(a)), [&](int i) { return a[i % 8]; });
    expect("halves", W::halves(W::load(a), W::load(b)), [&](int i) { return i < 8 ? a[i] : b[i]; });
    expect("low_half", W::low_half(W::load(b)), [&](int i) { return i < 8 ? b[i] : 0; });
    expect("high_half", W::high_half(W::load(b)), [&](int i) { return i < 8 ? b[i + 8] : 0; });
  }
}

}  // namespace

void CONTRACT() {
  each_lane("load and store", [](auto a, auto, auto) { return a; },
            [](float a, float, float, float r) { return std::memcmp(&a, &r, sizeof(float)) == 0; });
  each_lane("add", [](auto a, auto b, auto) { return V::add(a, b); },
            [](float a, float b, float, float r) { return same(r, a + b); });
  bool fused = true, separate = true;
  each_lane("multiply_add", [](auto a, auto b, auto c) { return V::multiply_add(a, b, c); },
            [&](float a, float b, float c, float r) {
              volatile float product = a * b;
              fused = fused && same(r, std::fma(a, b, c)), separate = separate && same(r, product + c);
              return fused || separate;  // the same rounding for every value
            });
  each_lane("clamp", [](auto a, auto b, auto c) { return V::clamp(a, b, c); },
            [](float x, float low, float high, float r) {
              if (!(low <= high)) return true;  // no range
              const float raised = x < low ? low : x, expected = raised > high ? high : raised;
              return x != x ? r != r : r == expected;
            });
  float lanes[V::lanes];
  for (const float x : kAwkward) {
    V::store(lanes, V::broadcast(x));
    for (const float lane : lanes) check(same(lane, x), "broadcast");
  }
  half_blocks<V>();
  std::printf("%s: %s multiply-adds\n", V::name, fused ? "fused" : "separate");
}

#else

#include "../isa/isa.h"

void contract_portable();
#ifdef MOBILENET_X86
void contract_avx2();
void contract_avx512();
#elif defined(MOBILENET_NEON)
void contract_neon();
#elif defined(MOBILENET_WASM)
void contract_wasm();
#endif

int main() {
  for (const std::string& isa : mobilenet::available_isas()) {
    if (isa == "portable") contract_portable();
#ifdef MOBILENET_X86
    if (isa == "avx2") contract_avx2();
    if (isa == "avx512") contract_avx512();
#elif defined(MOBILENET_NEON)
    if (isa == "neon") contract_neon();
#elif defined(MOBILENET_WASM)
    if (isa.starts_with("wasm")) contract_wasm();  // a module has one set
#endif
  }
}

#endif
