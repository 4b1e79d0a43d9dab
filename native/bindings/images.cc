// From decoded images to a network's input.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <tuple>

#include "../core/image.h"
#include "../core/resample.h"
#include "../core/tint.h"
#include "../isa/isa.h"
#include "arguments.h"

using namespace nanobind::literals;

namespace mobilenet {
namespace {

constexpr int kMaxSide = 1 << 30;

// Arrow's C data interface, by which Pillow lends its memory; the layout is a published standard.
struct ArrowArray {
  std::int64_t length, null_count, offset, n_buffers, n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};

using Pair = std::pair<int, int>;

Filter filter_of(const std::string& name) {
  constexpr const char* kNames[] = {"box", "bilinear", "hamming", "bicubic", "lanczos"};
  for (int i = 0; i < 5; ++i)
    if (name == kNames[i]) return static_cast<Filter>(i);
  throw std::invalid_argument("filter '" + name + "': must be box, bilinear, hamming, bicubic or lanczos");
}

struct Lent {
  const std::uint8_t* pixels;
  std::size_t rows;
};

// `array` is the second capsule of Image.__arrow_c_array__().
Lent lent_rows(const nb::capsule& array, int width) {
  require(std::string(array.name() ? array.name() : "") == "arrow_array", "not an Arrow array");
  const auto* const whole = static_cast<const ArrowArray*>(array.data());
  require(whole && whole->release && whole->n_children == 1 && whole->offset == 0, "not an array of pixels");
  const ArrowArray* const bytes = whole->children[0];
  require(bytes->n_buffers == 2 && bytes->offset == 0 && bytes->length == whole->length * u8::kPixelBytes && whole->length > 0 &&
              whole->length % width == 0,
          "not an array of whole rows of pixels of 4 bytes");
  return {static_cast<const std::uint8_t*>(bytes->buffers[1]), static_cast<std::size_t>(whole->length) / width};
}

class PythonResampler {
 public:
  PythonResampler(Pair image, Pair origin, Pair part, std::tuple<double, double, double, double> box, Pair resized, Pair offset,
                  bool down_first, int fill, const std::string& filter, Floats levels, Array<float> target, const std::string& isa)
      : target_(target), levels_(levels.data(), levels.data() + levels.size()), width_(image.first), height_(image.second) {
    require(levels.size() == kPlanes * kLevels, "levels " + shape_of(levels) + ": must be (3, 256)");
    require(target.ndim() == 4 && target.shape(0) == 1 && target.shape(1) == kPlanes && target.size() > 0 &&
                target.shape(2) < kMaxSide && target.shape(3) < kMaxSide,
            "target " + shape_of(target) + ": must be (1, 3, H, W)");
    require(fill >= 0 && fill < kLevels, "fill " + std::to_string(fill) + ": must be from 0 to 255");
    const auto inside = [](int low, int length, int whole) { return low >= 0 && length > 0 && length <= whole && low <= whole - length; };
    require(image.first < kMaxSide && image.second < kMaxSide && inside(origin.first, part.first, image.first) &&
                inside(origin.second, part.second, image.second),
            "part: must lie in the image");
    require(resized.first > 0 && resized.second > 0 && resized.first < kMaxSide && resized.second < kMaxSide &&
                std::abs(static_cast<long>(offset.first)) < kMaxSide && std::abs(static_cast<long>(offset.second)) < kMaxSide,
            "resized and offset: out of range");
    const float edges[] = {static_cast<float>(std::get<0>(box)), static_cast<float>(std::get<1>(box)),
                           static_cast<float>(std::get<2>(box)), static_cast<float>(std::get<3>(box))};
    require(edges[0] >= 0 && edges[0] < edges[2] && edges[2] <= static_cast<float>(part.first) && edges[1] >= 0 &&
                edges[1] < edges[3] && edges[3] <= static_cast<float>(part.second),
            "box: must lie in the part and have an area");
    const Geometry geometry{{image.first, image.second}, {origin.first, origin.second}, {part.first, part.second},
                            {edges[0], edges[1], edges[2], edges[3]}, {resized.first, resized.second},
                            {offset.first, offset.second},
                            {static_cast<int>(target.shape(3)), static_cast<int>(target.shape(2))}, down_first,
                            static_cast<std::uint8_t>(fill)};
    resampler_ = std::make_unique<Resampler>(geometry, filter_of(filter), levels_.data(), target_.data(), kernels_for(isa));
  }

  Pair rows() const { return {resampler_->first_row(), resampler_->end_row()}; }

  void feed(Bytes pixels, int row) {
    require(width_ > 0 && pixels.size() % (static_cast<std::size_t>(width_) * u8::kPixelBytes) == 0,
            "pixels " + shape_of(pixels) + ": must be whole rows of " + std::to_string(width_) + " pixels of 4 bytes");
    feed_rows(pixels.data(), row, pixels.size() / u8::kPixelBytes / width_);
  }

  void feed_arrow(nb::capsule array, int row) {
    const Lent lent = lent_rows(array, width_);
    feed_rows(lent.pixels, row, lent.rows);
  }

 private:
  void feed_rows(const std::uint8_t* pixels, int row, std::size_t count) {
    require(row >= 0 && row <= resampler_->next_row() && count <= static_cast<std::size_t>(height_) &&
                row <= height_ - static_cast<int>(count),
            "rows " + std::to_string(row) + " to " + std::to_string(row + count) + ": the next one is " +
                std::to_string(resampler_->next_row()) + " of " + std::to_string(height_));
    nb::gil_scoped_release unlocked;
    resampler_->feed(pixels, row, static_cast<int>(count));
  }

  Array<float> target_;
  std::vector<float> levels_;
  int width_, height_;
  std::unique_ptr<Resampler> resampler_;
};

using Map = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void tint(const std::uint8_t* pixels, Map opacity, int spacing, Map classes, int step, Bytes colors, Array<std::uint8_t> target) {
  const auto covers = [&](const Map& map, int each) {
    return each > 0 && each < kMaxSide && (target.shape(0) + each - 1) / each <= map.shape(0) &&
           (target.shape(1) + each - 1) / each <= map.shape(1) && map.shape(1) < kMaxSide;
  };
  require(covers(opacity, spacing) && covers(classes, step),
          "opacity " + shape_of(opacity) + " of " + std::to_string(spacing) + " pixels and classes " + shape_of(classes) + " of " +
              std::to_string(step) + ": must cover the image " + shape_of(target));
  require(colors.size() == 3 * kLevels, "colors " + shape_of(colors) + ": must be 256 of 3 bytes");
  nb::gil_scoped_release unlocked;
  lay({opacity.data(), static_cast<int>(opacity.shape(1)), spacing, classes.data(), static_cast<int>(classes.shape(1)), step,
       colors.data()},
      pixels, static_cast<int>(target.shape(1)), static_cast<int>(target.shape(0)), target.data());
}

void check_canvas(const Array<std::uint8_t>& target) {
  require(target.ndim() == 3 && target.size() > 0 && target.shape(2) == u8::kPixelBytes && target.shape(0) < kMaxSide &&
              target.shape(1) < kMaxSide,
          "target " + shape_of(target) + ": must be (H, W, 4) with no empty side");
}

void tint_bytes(Bytes pixels, Map opacity, int spacing, Map classes, int step, Bytes colors, Array<std::uint8_t> target) {
  check_canvas(target);
  require(pixels.size() == target.size(), "pixels " + shape_of(pixels) + ": must be as many as the target's " + shape_of(target));
  tint(pixels.data(), opacity, spacing, classes, step, colors, target);
}

void tint_arrow(nb::capsule pixels, Map opacity, int spacing, Map classes, int step, Bytes colors, Array<std::uint8_t> target) {
  check_canvas(target);
  const Lent lent = lent_rows(pixels, static_cast<int>(target.shape(1)));
  require(lent.rows == target.shape(0), "pixels: must be as many as the target's " + shape_of(target));
  tint(lent.pixels, opacity, spacing, classes, step, colors, target);
}

}  // namespace

void bind_images(nb::module_& m) {
  m.def("tint", &tint_arrow, "pixels"_a, "opacity"_a, "spacing"_a, "classes"_a, "step"_a, "colors"_a, "target"_a,
        "Pixels of 4 bytes with the colors of classes laid on them. One value of `opacity` stands for `spacing` pixels to a side, one "
        "class for `step`.");
  m.def("tint", &tint_bytes, "pixels"_a, "opacity"_a, "spacing"_a, "classes"_a, "step"_a, "colors"_a, "target"_a);
  nb::class_<PythonResampler>(m, "Resampler")
      .def(nb::init<Pair, Pair, Pair, std::tuple<double, double, double, double>, Pair, Pair, bool, int, const std::string&, Floats,
                    Array<float>, const std::string&>(),
           "image"_a, "origin"_a, "part"_a, "box"_a, "resized"_a, "offset"_a, "down_first"_a, "fill"_a, "filter"_a, "levels"_a, "target"_a,
           "isa"_a = "")
      .def_prop_ro("rows", &PythonResampler::rows)
      .def("feed", &PythonResampler::feed, "pixels"_a, "row"_a)
      .def("feed_arrow", &PythonResampler::feed_arrow, "array"_a, "row"_a);
}

}  // namespace mobilenet
