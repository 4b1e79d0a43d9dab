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

// Calls body(size, first pixel) for `pixels` split evenly over the fewest tiles of at most `Most`; `size` is a constant.
template <int Most, class Body>
void each_tile(int pixels, Body body) {
  const int tiles = (pixels + Most - 1) / Most;
  const int size = pixels / tiles, longer = pixels % tiles;
  for (int tile = 0, pixel = 0; tile < tiles; ++tile) {
    const int here = size + (tile < longer);
    one_tile(body, here, pixel, std::make_integer_sequence<int, Most>());
    pixel += here;
  }
}

}  // namespace mobilenet
