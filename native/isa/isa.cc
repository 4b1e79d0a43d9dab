#include "isa.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "../base/failure.h"

#ifdef MOBILENET_X86
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif
#ifdef MOBILENET_NEON
#ifdef __linux__
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

namespace mobilenet {

// Each instruction set overwrites the kernels that it does better than those before it. Defined beside its vector type.
void use_portable(Kernels& kernels);
#ifdef MOBILENET_X86
void use_avx2(Kernels& kernels);
void use_avxvnni(Kernels& kernels);
void use_avx512(Kernels& kernels);
void use_avx512vnni(Kernels& kernels);
void use_amx(Kernels& kernels);
#endif
#ifdef MOBILENET_NEON
void use_neon(Kernels& kernels);
void use_neondot(Kernels& kernels);
void use_neoni8mm(Kernels& kernels);
#endif
#ifdef MOBILENET_WASM_RELAXED
void use_wasmrelaxed(Kernels& kernels);
#elif defined(MOBILENET_WASM)
void use_wasm(Kernels& kernels);
#endif

namespace {

struct InstructionSet {
  const char* name;
  bool present;
  void (*use)(Kernels&);
};

#ifdef MOBILENET_X86
// What the processor has and the operating system saves at a context switch. Asks cpuid and xgetbv directly: the compilers'
// __builtin_cpu_supports answers 0 for everything in some builds (zig c++), without any error.
struct Processor {
  bool avx2 = false, avxvnni = false, avx512 = false, avx512vnni = false, amx = false;

  Processor() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    const bool fma = c & bit_FMA, xgetbv = c & bit_OSXSAVE;
    if (!fma || !xgetbv || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    constexpr std::uint64_t kAvxState = 0x6, kAvx512State = 0xe6;  // xmm, ymm; and masks, upper zmm, zmm16 to 31
    const std::uint64_t saved = saved_state();
    avx2 = (saved & kAvxState) == kAvxState && (b & bit_AVX2);
    avx512 = avx2 && (saved & kAvx512State) == kAvx512State && (b & bit_AVX512F) && (b & bit_AVX512VL) &&
             (b & bit_AVX512BW) && (b & bit_AVX512DQ);
    avx512vnni = avx512 && (c & bit_AVX512VNNI);
    constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;  // of edx
    constexpr unsigned kTiles = kAmxBf16 | kAmxTile | kAmxInt8;
    const bool tiles = avx512vnni && (d & kTiles) == kTiles;
    constexpr unsigned kAvxVnni = 1u << 4, kAvx512Bf16 = 1u << 5;  // of eax in leaf 7.1
    if (a < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return;
    avxvnni = avx2 && (a & kAvxVnni);
    constexpr std::uint64_t kTileState = 3u << 17;
    amx = tiles && (a & kAvx512Bf16) && (saved & kTileState) == kTileState && tiles_granted();
  }

  // The tiles' registers are large, so Linux gives them to processes that ask. Threads of the process share the answer.
  static bool tiles_granted() {
#ifdef __linux__
    constexpr long kArchRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kArchRequestPermission, kTileData) == 0;
#else
    return false;
#endif
  }

  static std::uint64_t saved_state() {
    std::uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return std::uint64_t{high} << 32 | low;
  }
};
#endif

#ifdef MOBILENET_NEON
// What the operating system says of the processor. Every AArch64 processor has NEON.
struct Processor {
  bool dotprod = false, i8mm = false;

  Processor() {
#ifdef __linux__
    constexpr unsigned long kAsimdDotProduct = 1ul << 20, kI8mm = 1ul << 13;  // of the kernel's HWCAP and HWCAP2
    dotprod = getauxval(AT_HWCAP) & kAsimdDotProduct;
    i8mm = dotprod && (getauxval(AT_HWCAP2) & kI8mm);
#elif defined(__APPLE__)
    dotprod = has("hw.optional.arm.FEAT_DotProd");
    i8mm = dotprod && has("hw.optional.arm.FEAT_I8MM");
#endif
  }

#ifdef __APPLE__
  static bool has(const char* feature) {
    int value = 0;
    std::size_t bytes = sizeof(value);
    return sysctlbyname(feature, &value, &bytes, nullptr, 0) == 0 && value != 0;
  }
#endif
};
#endif

// Slowest first.
std::vector<InstructionSet> instruction_sets() {
#ifdef MOBILENET_X86
  const Processor processor;
  return {{"portable", true, use_portable},
          {"avx2", processor.avx2, use_avx2},
          {"avxvnni", processor.avxvnni, use_avxvnni},
          {"avx512", processor.avx512, use_avx512},
          {"avx512vnni", processor.avx512vnni, use_avx512vnni},
          {"amx", processor.amx, use_amx}};
#elif defined(MOBILENET_NEON)
  const Processor processor;
  return {{"portable", true, use_portable},
          {"neon", true, use_neon},
          {"neondot", processor.dotprod, use_neondot},
          {"neoni8mm", processor.i8mm, use_neoni8mm}};
#elif defined(MOBILENET_WASM_RELAXED)
  return {{"wasmrelaxed", true, use_wasmrelaxed}};  // alone: a download holds no kernels that are never run
#elif defined(MOBILENET_WASM)
  return {{"wasm", true, use_wasm}};
#else
  return {{"portable", true, use_portable}};
#endif
}

// The table after each instruction set that this processor has.
const std::vector<Kernels>& tables() {
  static const std::vector<Kernels> all = [] {
    std::vector<Kernels> made;
    Kernels kernels{};
    for (const InstructionSet& set : instruction_sets()) {
      if (!set.present) continue;
      set.use(kernels);
      made.push_back(kernels);
    }
    return made;
  }();
  return all;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Kernels& kernels : tables()) names.emplace_back(kernels.name);
  return names;
}

const Kernels& kernels_for(const std::string& name) {
  if (name.empty()) return tables().back();
  std::string usable;
  for (const Kernels& kernels : tables()) {
    if (name == kernels.name) return kernels;
    usable += (usable.empty() ? "" : ", ") + std::string(kernels.name);
  }
  bool known = false;
  for (const InstructionSet& set : instruction_sets()) known = known || name == set.name;
  fail_argument("MOBILENET_ISA '" + name + "': " +
                              (known ? "this processor does not have it" : "no such instruction set is compiled in") +
                              "; use one of " + usable + ", or unset it");
}

}  // namespace mobilenet
