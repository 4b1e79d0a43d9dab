// The allocator of the module for the browser, here on a memory that this program has reserved: blocks do not overlap, stand on
// boundaries of 16 bytes, are zero if that was asked for, and are one block again when all are free.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

extern "C" {
alignas(65536) char __heap_base[std::size_t{64} << 20];  // the linker's name for where the memory begins
}

namespace {

constexpr std::size_t kMemory = sizeof(__heap_base);
std::size_t used = 65536;  // the module begins with pages of its own

std::size_t grow_memory(std::size_t pages) {
  const std::size_t before = used;
  if (pages * 65536 > kMemory - used) return SIZE_MAX;
  used += pages * 65536;
  return (reinterpret_cast<std::size_t>(__heap_base) + before) / 65536;
}

}  // namespace

#define __builtin_wasm_memory_grow(memory, pages) grow_memory(pages)
#define __heap_base heap_base_of_module
#define malloc web_malloc
#define calloc web_calloc
#define free web_free
#define memcpy web_memcpy
#define memmove web_memmove
#define memset web_memset
extern "C" char heap_base_of_module __asm__("__heap_base");
#include "../web/memory.cc"
#undef malloc
#undef calloc
#undef free
#undef memcpy
#undef memmove
#undef memset

namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::exit(1);
}

struct Taken {
  unsigned char* place;
  std::size_t bytes;
  unsigned char mark;
};

std::uint32_t state = 7;
std::uint32_t random_number(std::uint32_t below) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % below;
}

void check_and_free(const Taken& taken) {
  for (std::size_t i = 0; i < taken.bytes; ++i) check(taken.place[i] == taken.mark, "a block keeps its bytes");
  web_free(taken.place);
}

}  // namespace

int main() {
  std::vector<Taken> all;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    if (all.size() < 60 && random_number(100) < 55) {
      const std::size_t bytes = random_number(20) ? random_number(3000) : random_number(3000000);
      const bool zero = random_number(2);
      auto* const place = static_cast<unsigned char*>(zero ? web_calloc(bytes, 1) : web_malloc(bytes));
      if (!place) {
        ++refused;
        continue;
      }
      check(reinterpret_cast<std::size_t>(place) % 16 == 0, "a block stands on a boundary of 16 bytes");
      for (std::size_t i = 0; zero && i < bytes; ++i) check(place[i] == 0, "calloc's bytes are zero");
      const auto mark = static_cast<unsigned char>(1 + random_number(255));
      std::memset(place, mark, bytes);
      all.push_back({place, bytes, mark});
    } else if (!all.empty()) {
      const std::size_t which = random_number(static_cast<std::uint32_t>(all.size()));
      check_and_free(all[which]);
      all[which] = all.back();
      all.pop_back();
    }
  }
  for (const Taken& taken : all) check_and_free(taken);
  check(list.next && !list.next->next && list.next->bytes == used, "all free blocks are one");
  check(!web_malloc(kMemory), "more than there is is refused");
  check(!web_calloc(SIZE_MAX, 2), "a size that overflows is refused");
  std::printf("web memory: %zu of %zu MB, %d refused\n", used >> 20, kMemory >> 20, refused);
}
