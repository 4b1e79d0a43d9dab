#include "memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "../base/failure.h"

#if __has_include(<sys/mman.h>) && !defined(MOBILENET_NO_MMAP)
#define MOBILENET_MMAP
#include <sys/mman.h>
#endif

namespace mobilenet {
namespace {

std::uintptr_t rounded(std::uintptr_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

// An allocation that the system zeroes; large ones come untouched.
std::shared_ptr<void> allocate(std::size_t bytes) {
  if (bytes > SIZE_MAX - kLine) fail_memory();
  const std::shared_ptr<void> whole(std::calloc(bytes + kLine, 1), std::free);
  if (!whole) fail_memory();
  return {whole, reinterpret_cast<void*>(rounded(reinterpret_cast<std::uintptr_t>(whole.get()), kLine))};
}

}  // namespace

#ifdef MOBILENET_MMAP

std::shared_ptr<void> Slab::take(std::size_t bytes) {
  constexpr std::size_t kLargePage = std::size_t{1} << 21;
  constexpr std::size_t kPiece = 8 * kLargePage;  // only what is written becomes memory
  if (bytes > SIZE_MAX / 2) fail_memory();
  bytes = rounded(bytes, kLine);
  if (bytes > size_ - used_) {
    const std::size_t size = std::max(static_cast<std::size_t>(rounded(bytes, kLargePage)), kPiece), mapped = size + kLargePage;
    void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) fail_memory();
    const std::shared_ptr<void> whole(start, [mapped](void* p) { munmap(p, mapped); });
    void* first = reinterpret_cast<void*>(rounded(reinterpret_cast<std::uintptr_t>(start), kLargePage));
#ifdef MADV_HUGEPAGE
    (void)madvise(first, size, MADV_HUGEPAGE);  // best effort: otherwise small pages serve
#endif
    piece_ = std::shared_ptr<void>(whole, first);
    used_ = 0, size_ = size;
  }
  std::shared_ptr<void> taken(piece_, static_cast<char*>(piece_.get()) + used_);
  used_ += bytes;
  return taken;
}

#else  // an allocation each: without mmap nothing keeps unused pages from becoming memory

std::shared_ptr<void> Slab::take(std::size_t bytes) { return allocate(bytes); }

#endif

Memory::Memory(std::size_t bytes, Slab* slab) : start_(slab ? slab->take(bytes) : allocate(bytes)), bytes_(bytes) {}

}  // namespace mobilenet
