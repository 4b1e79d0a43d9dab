#include "failure.h"

#include <cstdlib>
#include <new>
#include <stdexcept>

#ifndef __cpp_exceptions
extern "C" [[gnu::weak]] void mobilenet_failed(const char*) { std::abort(); }
#endif

namespace mobilenet {

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
