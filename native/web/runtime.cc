// What the core needs of the C and C++ libraries, where their own is large: they would print, format and translate messages that
// nobody reads, which is a sixth of the module. The linker takes these before it looks into the libraries.
#include <cmath>
#include <cstdlib>
#include <new>

extern "C" {

// Of JavaScript: throws an error with this message. Nothing is unwound here.
[[clang::import_module("env"), clang::import_name("failed")]] void mobilenet_web_failed(const char* message);
void mobilenet_failed(const char* message) { mobilenet_web_failed(message); }

// Where the C++ libraries give up.
[[noreturn]] void abort_message(const char* message, ...) {
  mobilenet_web_failed(message);
  __builtin_trap();
}

// The remainder of an angle past 2^20 * pi / 2, and 3 kB of digits of pi for it. The core's angles are within a filter's support, at
// most 3 pi (core/resample.cc).
[[gnu::used]] int __rem_pio2_large(double*, double*, int, int, int) { __builtin_trap(); }

// The core takes logarithms of thresholds only, as bounds with a margin of a millionth (core/detections.cc). This one is right to some
// 1e-15 of its size and needs no table: Halley's method on `exp`, from a first guess by the exponent.
double log(double x) {
  if (!(x > 0)) return x == 0 ? -HUGE_VAL : static_cast<double>(NAN);
  if (x == HUGE_VAL) return x;
  int exponent;
  const double fraction = std::frexp(x, &exponent);  // from 0.5 to 1
  double y = 2 * (fraction - 1) / (fraction + 1);
  for (int i = 0; i < 4; ++i) {
    const double power = std::exp(y);
    y += 2 * (fraction - power) / (fraction + power);
  }
  return y + exponent * 0.693147180559945309417;
}

}  // extern "C"

// What the headers of libc++ call instead of throwing; also of the code that is compiled into it.
#if __has_include(<__verbose_abort>)
#include <__verbose_abort>
#ifndef _LIBCPP_VERBOSE_ABORT_NOEXCEPT
#define _LIBCPP_VERBOSE_ABORT_NOEXCEPT
#endif
_LIBCPP_BEGIN_NAMESPACE_STD
[[noreturn]] void __libcpp_verbose_abort(const char* format, ...) _LIBCPP_VERBOSE_ABORT_NOEXCEPT { abort_message(format); }
_LIBCPP_END_NAMESPACE_STD
#endif

void* operator new(std::size_t bytes) {
  void* const place = std::malloc(bytes ? bytes : 1);
  if (!place) mobilenet_failed("out of memory");
  return place;
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }

// The headers mention these; no type here needs a boundary of more than 16 bytes.
void* operator new(std::size_t, std::align_val_t) { __builtin_trap(); }
void operator delete(void*, std::align_val_t) noexcept { __builtin_trap(); }
void operator delete(void*, std::size_t, std::align_val_t) noexcept { __builtin_trap(); }
