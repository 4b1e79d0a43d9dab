// A run of pixels cut into tiles whose size the compiler knows.
#pragma once

#include <type_traits>
#include <utility>

namespace mobilenet {

template <class Body, int... Sizes>
void one_tile(Body& body, int size, int pixel, std::integer_sequence<int, Sizes...>) {
  using Tile = void (*)(Body&, int);
  static constexpr Tile table[] = {
      [](Body& b, int first) { b(std::integral_constant<int, Sizes + 1>(), first); }...};
  table[size - 1](body, pixel);
}

// Splits `pixels` evenly over the fewest tiles of at most `MaxSize` and calls body(size, first pixel) for each; `size` is a
// compile-time constant.
template <int MaxSize, class Body>
void each_tile(int pixels, Body body) {
  const int tiles = (pixels + MaxSize - 1) / MaxSize;
  const int size = pixels / tiles, longer = pixels % tiles;
  for (int tile = 0, pixel = 0; tile < tiles; ++tile) {
    const int current = size + (tile < longer);
    one_tile(body, current, pixel, std::make_integer_sequence<int, MaxSize>());
    pixel += current;
  }
}

}  // namespace mobilenet
