// bfloat16 in the portable vector type, converted value by value.
#pragma once

#include "../kernels/bf16/rounding.h"
#include "portable.h"

namespace mobilenet {

struct PortableBf16 : Portable {
  static Register widen(const bf16::Value* p) {
    return Register{bf16::widened(p[0]), bf16::widened(p[1]), bf16::widened(p[2]), bf16::widened(p[3])};
  }
  static void narrow(bf16::Value* p, Register x) {
    for (int i = 0; i < lanes; ++i) p[i] = bf16::rounded(x[i]);
  }
};

}  // namespace mobilenet
