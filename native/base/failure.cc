#include "failure.h"

#include <cstddef>
#include <cstdlib>
#include <new>
#include <stdexcept>

#ifndef __cpp_exceptions
extern "C" [[gnu::weak]] void mobilenet_failed(const char*) { std::abort(); }
#endif

namespace mobilenet {

std::string decimal(long long value) {
  char digits[20];  // of -2^63 with its sign
  char *const end = digits + sizeof(digits), *first = end;
  unsigned long long rest = value < 0 ? 0 - static_cast<unsigned long long>(value) : static_cast<unsigned long long>(value);
  do *--first = static_cast<char>('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) *--first = '-';
  return std::string(first, static_cast<std::size_t>(end - first));
}

#ifdef __cpp_exceptions

void fail_argument(const std::string& what) { throw std::invalid_argument(what); }
void fail_memory() { throw std::bad_alloc(); }

#else

void fail_argument(const std::string& what) {
  mobilenet_failed(what.c_str());
  std::abort();
}
void fail_memory() {
  mobilenet_failed("out of memory");
  std::abort();
}

#endif

}  // namespace mobilenet

#if !defined(__cpp_exceptions) && defined(__GLIBCXX__)
// What the standard library throws with. Its own definitions bring the machinery of exceptions, which keeps 72 kB for them.
namespace std {

void __throw_bad_alloc() { mobilenet::fail_memory(); }
void __throw_bad_array_new_length() { mobilenet::fail_memory(); }
void __throw_length_error(const char* what) { mobilenet::fail_argument(what); }
void __throw_logic_error(const char* what) { mobilenet::fail_argument(what); }
void __throw_out_of_range(const char* what) { mobilenet::fail_argument(what); }
void __throw_out_of_range_fmt(const char* what, ...) { mobilenet::fail_argument(what); }
void __throw_bad_function_call() { mobilenet::fail_argument("an empty function is called"); }

}  // namespace std

void* operator new(std::size_t bytes) {
  void* taken = std::malloc(bytes ? bytes : 1);
  if (!taken) mobilenet::fail_memory();
  return taken;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif
