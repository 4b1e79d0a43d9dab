// Zeroed memory on cache-line boundaries, for constants and for the arena.
#pragma once

#include <cstddef>
#include <memory>

namespace mobilenet {

constexpr std::size_t kLine = 64;  // bytes of a cache line

// Where the constants of one model lie, one behind another, in pieces that the system may back with its large pages:
// faulting in 14 MiB in pages of 4 KiB takes as long as filling them. A piece lives as long as anything in it.
class Slab {
 public:
  std::shared_ptr<void> take(std::size_t bytes);  // zeroed, on a cache line's boundary

 private:
  std::shared_ptr<void> piece_;
  [[maybe_unused]] std::size_t used_ = 0, size_ = 0;
};

// Zeroed bytes on a cache line's boundary, in a slab or in an allocation of their own.
class Memory {
 public:
  Memory() = default;
  explicit Memory(std::size_t bytes, Slab* slab = nullptr);
  // Bytes of someone else, who keeps them as long as this and sees to their boundary.
  Memory(void* start, std::size_t bytes) : start_(std::shared_ptr<void>(), start), bytes_(bytes) {}
  Memory(Memory&&) = default;
  Memory& operator=(Memory&&) = default;

  template <class Value>
  Value* as() const {
    return static_cast<Value*>(start_.get());
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<void> start_;
  std::size_t bytes_ = 0;
};

}  // namespace mobilenet
