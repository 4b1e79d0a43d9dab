// What Python passes, and how it is refused: one line with the value and the rule.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace mobilenet {

namespace nb = nanobind;

template <class T>
using Array = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
using Floats = Array<const float>;
using Bytes = Array<const std::uint8_t>;

inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::invalid_argument(what);
}

template <class A>
std::string shape_of(const A& a) {
  std::string text = "(";
  for (std::size_t i = 0; i < a.ndim(); ++i) text += (i ? ", " : "") + std::to_string(a.shape(i));
  return text + ")";
}

void bind_answers(nb::module_& m);     // answers.cc
void bind_images(nb::module_& m);      // images.cc
void bind_weights_i8(nb::module_& m);  // weights_i8.cc

}  // namespace mobilenet
