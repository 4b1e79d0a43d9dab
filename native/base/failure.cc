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
