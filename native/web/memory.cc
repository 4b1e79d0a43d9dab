// malloc for one thread in a memory that grows, in place of the C library's: a tenth of its code. Free blocks are a list in the order
// of their addresses; the first that is large enough is taken, and neighbors become one.
#include <cstddef>
#include <cstdint>

extern "C" char __heap_base;  // of the linker: behind all data and the stack

namespace {

struct alignas(16) Block {
  std::size_t bytes;  // of it all
  Block* next;        // while it is free

  char* end() { return reinterpret_cast<char*>(this) + bytes; }
};
constexpr std::size_t kPage = 65536, kLeastGrowth = 16 * kPage;

Block list{0, nullptr};    // before the first free block
char* untouched = nullptr;  // no block from here on was ever taken, so all of it is zero but for the first bytes of free blocks

// Makes two neighbors one. What stood at the beginning of the second is zero afterwards, as `untouched` promises.
void join(Block* first, Block* second) {
  first->bytes += second->bytes;
  first->next = second->next;
  *second = {};
}

void give_back(Block* block) {
  Block* before = &list;
  while (before->next && before->next < block) before = before->next;
  block->next = before->next;
  before->next = block;
  if (block->next && block->end() == reinterpret_cast<char*>(block->next)) join(block, block->next);
  if (before != &list && before->end() == reinterpret_cast<char*>(block)) join(before, block);
}

bool grow(std::size_t bytes) {
  const std::size_t more = bytes < kLeastGrowth ? kLeastGrowth : (bytes + kPage - 1) / kPage * kPage;
  const std::size_t pages = __builtin_wasm_memory_grow(0, more / kPage);
  if (pages == SIZE_MAX) return false;
  auto start = pages * kPage;
  std::size_t size = more;
  if (!untouched) {  // the first time: what the linker left behind the data belongs to it
    const std::size_t base = (reinterpret_cast<std::size_t>(&__heap_base) + sizeof(Block) - 1) / sizeof(Block) * sizeof(Block);
    size += start - base, start = base;
    untouched = reinterpret_cast<char*>(base);
  }
  auto* const block = reinterpret_cast<Block*>(start);
  block->bytes = size;
  give_back(block);
  return true;
}

// A block for so many bytes, or null. `zero`: whether its bytes are zero.
void* take(std::size_t bytes, bool& zero) {
  if (bytes > PTRDIFF_MAX) return nullptr;
  const std::size_t needed = (bytes + sizeof(Block) - 1) / sizeof(Block) * sizeof(Block) + sizeof(Block);
  for (;;) {
    for (Block* before = &list; Block* const block = before->next; before = block) {
      if (block->bytes < needed) continue;
      if (block->bytes - needed >= 2 * sizeof(Block)) {
        auto* const rest = reinterpret_cast<Block*>(reinterpret_cast<char*>(block) + needed);
        *rest = {block->bytes - needed, block->next};
        block->bytes = needed, before->next = rest;
      } else {
        before->next = block->next;
      }
      zero = reinterpret_cast<char*>(block) >= untouched;
      if (block->end() > untouched) untouched = block->end();
      return block + 1;
    }
    if (!grow(needed)) return nullptr;
  }
}

}  // namespace

extern "C" {

void* malloc(std::size_t bytes) {
  bool zero;
  return take(bytes, zero);
}

void* calloc(std::size_t count, std::size_t size) {
  std::size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
  bool zero;
  void* const place = take(bytes, zero);
  if (place && !zero) __builtin_memset(place, 0, bytes);
  return place;
}

void free(void* place) {
  if (place) give_back(static_cast<Block*>(place) - 1);
}

// One instruction each (bulk memory).
void* memcpy(void* target, const void* source, std::size_t bytes) { return __builtin_memcpy(target, source, bytes); }
void* memmove(void* target, const void* source, std::size_t bytes) { return __builtin_memmove(target, source, bytes); }
void* memset(void* target, int value, std::size_t bytes) { return __builtin_memset(target, value, bytes); }

}  // extern "C"
