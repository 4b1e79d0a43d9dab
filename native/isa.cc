#include "isa.h"

#include <stdexcept>

namespace mobilenet {
namespace {

struct Candidate {
  const Kernels* kernels;
  bool present;
};

std::vector<Candidate> candidates() {
#ifdef MOBILENET_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return {{&kScalar, true}, {&kAvx2, avx2}, {&kAvx512, avx512}};
#else
  return {{&kScalar, true}};
#endif
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Candidate& c : candidates())
    if (c.present) names.emplace_back(c.kernels->name);
  return names;
}

const Kernels& kernels_for(const std::string& name) {
  const Kernels* best = nullptr;
  std::string usable;
  bool known = false;
  for (const Candidate& c : candidates()) {
    known = known || name == c.kernels->name;
    if (!c.present) continue;
    usable += (usable.empty() ? "" : ", ") + std::string(c.kernels->name);
    if (name.empty() || name == c.kernels->name) best = c.kernels;
  }
  if (best) return *best;
  throw std::invalid_argument("MOBILENET_ISA '" + name + "': " +
                              (known ? "this processor does not have it" : "no such instruction set is compiled in") +
                              "; use one of " + usable + ", or unset it");
}

}  // namespace mobilenet
