// Walks through bytes that others wrote: every read is checked. Little-endian words of 32 bits on any machine.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

#include "../base/failure.h"

namespace mobilenet {

class Reader {
 public:
  // `what` is being read, for messages.
  Reader(const char* what, const void* bytes, std::size_t size)
      : what_(what), start_(static_cast<const unsigned char*>(bytes)), at_(start_), left_(size) {}

  // std::invalid_argument unless `holds`. A message that has to be put together is a function: most checks hold.
  template <class Message>
  void require(bool holds, Message message) const {
    if (holds) return;
    if constexpr (std::is_invocable_v<Message>)
      fail_argument(std::string(what_) + ": " + std::string(message()));
    else
      fail_argument(std::string(what_) + ": " + message);
  }

  const unsigned char* take(std::size_t bytes) {
    require(bytes <= left_, "the bytes end too early");
    const unsigned char* taken = at_;
    at_ += bytes, left_ -= bytes;
    return taken;
  }

  int word() {
    const unsigned char* b = take(4);
    const std::uint32_t low = b[0] | std::uint32_t{b[1]} << 8, high = b[2] | std::uint32_t{b[3]} << 8;
    return static_cast<int>(low | high << 16);
  }

  std::int64_t long_word() {
    const std::uint64_t low = static_cast<std::uint32_t>(word()), high = static_cast<std::uint32_t>(word());
    return static_cast<std::int64_t>(low | high << 32);
  }

  float real() { return std::bit_cast<float>(word()); }
  double long_real() { return std::bit_cast<double>(long_word()); }

  // A number of items that follow, of at least a word each.
  int count(const char* items) {
    const int number = word();
    require(number >= 0 && static_cast<std::size_t>(number) <= left_ / 4,
            [&] { return std::string(items) + ": it ends too early"; });
    return number;
  }

  std::string name() {
    const int length = word();
    require(length >= 0 && static_cast<std::size_t>(length) <= left_, "a name: it ends too early");
    const auto* text = reinterpret_cast<const char*>(take((static_cast<std::size_t>(length) + 3) / 4 * 4));
    return std::string(text, length);
  }

  // A text that ends with a zero, in the bytes themselves: its length without zeros, the text, zeros up to a whole word.
  const char* text() {
    const int length = word();
    require(length >= 0 && static_cast<std::size_t>(length) < left_, "a text: it ends too early");
    const auto* text = reinterpret_cast<const char*>(take(static_cast<std::size_t>(length) / 4 * 4 + 4));
    require(text[length] == 0, "a text: no zero at its end");
    return text;
  }

  template <class Enum>
  Enum one_of(int values, const char* what) {
    const int value = word();
    require(value >= 0 && value < values,
            [&] { return std::string(what) + " " + decimal(value) + " is unknown"; });
    return static_cast<Enum>(value);
  }

  // `count` values that begin at the next multiple of `alignment` bytes, counted from the first of all bytes.
  template <class Value>
  const Value* array(std::size_t count, std::size_t alignment) {
    take((alignment - static_cast<std::size_t>(at_ - start_) % alignment) % alignment);
    require(count <= left_ / sizeof(Value), "the bytes end too early");
    return reinterpret_cast<const Value*>(take(count * sizeof(Value)));
  }

  // Whether the first byte lies at a multiple of `alignment` in memory.
  bool aligned(std::size_t alignment) const { return reinterpret_cast<std::uintptr_t>(start_) % alignment == 0; }
  std::size_t left() const { return left_; }
  std::size_t position() const { return static_cast<std::size_t>(at_ - start_); }

 private:
  const char* what_;
  const unsigned char *start_, *at_;
  std::size_t left_;
};

}  // namespace mobilenet
