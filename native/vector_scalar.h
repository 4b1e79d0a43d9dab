// Plain C++: four floats in a struct, loops over them. Runs anywhere; the form every other one is tested against.
#pragma once

namespace mobilenet {

struct Scalar {
  static constexpr const char* name = "scalar";
  static constexpr int lanes = 4;
  struct Register {
    float lane[4];
  };

  template <class Lane>
  static Register each(Lane lane) {
    return {{lane(0), lane(1), lane(2), lane(3)}};
  }
  static Register load(const float* p) {
    return each([=](int i) { return p[i]; });
  }
  static void store(float* p, Register x) {
    for (int i = 0; i < lanes; ++i) p[i] = x.lane[i];
  }
  static Register broadcast(float x) { return {{x, x, x, x}}; }
  static Register multiply_add(const Register& a, const Register& b, const Register& c) {
    return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
  }
  static Register add(const Register& a, const Register& b) {
    return each([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Register clamp(const Register& x, const Register& low, const Register& high) {
    return each([&](int i) {
      const float raised = x.lane[i] < low.lane[i] ? low.lane[i] : x.lane[i];
      return raised > high.lane[i] ? high.lane[i] : raised;
    });
  }

  static constexpr int tile_blocks = 1;
  static constexpr int tile_pixels(int, bool) { return 2; }
  static constexpr int depthwise_pixels = 2;
  static constexpr int stem_blocks = 1, stem_pixels = 2;
};

}  // namespace mobilenet
