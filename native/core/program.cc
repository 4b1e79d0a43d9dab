#include "program.h"

#include <algorithm>
#include <cmath>

#include "../base/failure.h"
#include "check.h"

namespace mobilenet {
namespace {

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 42;
constexpr std::int64_t kMaxZeros = std::int64_t{3} * kMaxSide * kBlock * 4;  // a row of the widest buffer
constexpr std::size_t kMaxTableValues = std::size_t{1} << 24;  // of all steps together; a large plan has some 2^19

// Position in a source of `from` pixels that pixel `i` of `to` looks at, as TensorFlow and PyTorch count it.
double resized(int i, int from, int to, Corners corners) {
  if (corners == Corners::aligned) return to > 1 ? i * (static_cast<double>(from - 1) / (to - 1)) : 0;
  const double x = (i + 0.5) * from / to - 0.5;
  return x > 0 ? x : 0;
}

// In integers: mobilenet/network/grid.py has the same function.
i8::BlendTable even_taps(std::int64_t from, std::int64_t to, Corners corners) {
  const bool aligned = corners == Corners::aligned;
  const std::int64_t unit = !aligned ? 2 * to : to > 1 ? to - 1 : 1;
  i8::BlendTable table;
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t place = !aligned ? std::max<std::int64_t>((2 * i + 1) * from - to, 0) : to > 1 ? i * (from - 1) : 0;
    const auto first = static_cast<int>(std::min(place / unit, from - 1));
    table.first.push_back(first);
    table.second.push_back(std::min(first + 1, static_cast<int>(from) - 1));
    table.weight.push_back(static_cast<float>((place % unit * 512 + unit) / (2 * unit)));
  }
  return table;
}

// In float32: `float_taps` of mobilenet/engine/reference_int8.py.
i8::BlendTable real_taps(int from, int to, Corners corners) {
  const auto size = static_cast<float>(from), target = static_cast<float>(to);
  i8::BlendTable table;
  for (int i = 0; i < to; ++i) {
    float place;
    if (corners == Corners::aligned)
      place = static_cast<float>(i) * (to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : size / target);
    else
      place = (static_cast<float>(i) + 0.5f) * (size / target) - 0.5f;
    const int first = std::clamp(static_cast<int>(std::floor(place)), 0, from - 1);
    table.first.push_back(first);
    table.second.push_back(std::clamp(static_cast<int>(std::ceil(place)), 0, from - 1));
    table.weight.push_back(place - static_cast<float>(first));
  }
  return table;
}

// In 1024ths: `integer_taps` of the same file. The first weights may be negative.
i8::BlendTable fine_taps(std::int64_t from, std::int64_t to, Corners corners) {
  const std::int64_t one = 1 << i8::kFineBits;
  const bool aligned = corners == Corners::aligned && to > 1;
  const std::int64_t span = aligned ? from - 1 : from, steps = aligned ? to - 1 : to, step = (one * span + steps / 2) / steps;
  i8::BlendTable table;
  for (std::int64_t i = 0; i < to; ++i) {
    const std::int64_t place = i * step + (corners == Corners::half_pixel ? step / 2 - one / 2 : 0);
    const std::int64_t before = std::max<std::int64_t>(place, 0) / one, after = std::max<std::int64_t>(place + one - 1, 0) / one;
    table.first.push_back(static_cast<int>(std::min(before, from - 1)));
    table.second.push_back(static_cast<int>(std::min(after, from - 1)));
    table.fine.push_back(static_cast<int>(place - one * before));
  }
  return table;
}

}  // namespace

Program::Program(const Kernels& kernels_, int threads_, int height_, int width_, int labels_, std::int64_t arena,
                 std::int64_t zeros)
    : kernels(kernels_),
      threads(threads_),
      height(height_),
      width(width_),
      labels(labels_),
      arena_bytes(static_cast<std::size_t>(arena)),
      zero_bytes(static_cast<std::size_t>(zeros)) {
  require(threads >= 1 && threads <= 256, [&] { return "threads " + decimal(threads) + ": must be 1 to 256"; });
  require(height >= 1 && height <= kMaxSide && width >= 1 && width <= kMaxSide, "the image must be 1 to 32768 pixels a side");
  require(labels >= 0 && labels <= kMaxChannels, "labels outside their range");
  require(zeros >= 0 && zeros <= kMaxZeros && zeros <= arena && arena <= kMaxBytes, "zeros or arena outside their range");
  require(zeros % kLine == 0, "zeros must be whole lines of 64 bytes");
  stage();
}

void Program::border(std::uint32_t value, std::int64_t bytes) {
  const std::size_t offset = borders.empty() ? zero_bytes : borders.back().offset + borders.back().bytes;
  require(buffers.empty() && borders.size() < 256, "borders come before buffers, at most 256");
  require(bytes >= 0 && bytes <= kMaxZeros && bytes % kLine == 0 && offset + static_cast<std::size_t>(bytes) <= arena_bytes,
          "a border must be whole lines of 64 bytes inside the arena");
  borders.push_back({.value = value, .offset = offset, .bytes = static_cast<std::size_t>(bytes)});
}

const Border* Program::border_of(std::uint32_t value) const {
  for (const Border& border : borders)
    if (border.value == value) return &border;
  return nullptr;
}

int Program::buffer(Number number, std::int64_t offset, int channels, int h, int w, int slots, int left, int right,
                    std::uint32_t zero) {
  require(channels >= 1 && channels <= kMaxChannels && h >= 1 && h <= kMaxSide && w >= 1 && w <= kMaxSide && slots >= 1 &&
              slots <= h && left >= 0 && left <= kMaxSide && right >= 0 && right <= kMaxSide,
          "buffer sizes outside their range");
  require(offset >= 0 && offset % kLine == 0, "a buffer's offset must be a multiple of 64 bytes");
  require(number != Number::pixels || channels == 3, "an image has 3 channels");
  require(number == Number::f32 || zero % 0x01010101 == 0 || number == Number::pixels, "a zero point is one byte, four times");
  const Buffer buffer{number, static_cast<std::size_t>(offset), channels, h, w, slots, left, right, zero};
  const std::size_t bytes = buffer.bytes();  // at most 2^17 pixels * 2^20 lanes * 2^15 slots * 4 = 2^54
  const std::size_t start = borders.empty() ? zero_bytes : borders.back().offset + borders.back().bytes;
  require(buffer.offset >= start && buffer.offset <= arena_bytes && bytes <= arena_bytes - buffer.offset,
          [&] { return "buffer of " + decimal(bytes) + " bytes at " + decimal(offset) + " leaves the arena of " +
              decimal(arena_bytes); });
  buffers.push_back(buffer);
  return static_cast<int>(buffers.size()) - 1;
}

int Program::output(int channels, int h, int w) {
  require(channels >= 1 && channels <= kMaxChannels && h >= 1 && h <= kMaxSide && w >= 1 && w <= kMaxSide,
          "output sizes outside their range");
  outputs.push_back({.channels = channels, .height = h, .width = w});
  return static_cast<int>(outputs.size()) - 1;
}

void Program::add(int part, int label, Step step) {
  require(part >= 0 && part < threads, [&] { return "part " + decimal(part) + " of " + decimal(threads); });
  require(label >= 0 && label < labels,
          [&] { return "label " + decimal(label) + " of " + decimal(labels); });
  check(*this, step);
  complete(step);
  stages.back()[part].push_back({std::move(step), label});
}

void Program::complete(Step& step) {
  if (auto* s = std::get_if<EmitStep>(&step)) outputs[s->output].bytes = false;
  if (auto* s = std::get_if<i8::EmitStep>(&step))
    if (buffers[s->source].number != Number::u8) outputs[s->output].bytes = false;
  if (auto* s = std::get_if<DepthwiseStep>(&step))
    s->table = row_table(s->window, buffers[s->source], buffers[s->target], s->rows);
  if (auto* s = std::get_if<ExpandDepthwiseStep>(&step))
    s->table = row_table(s->window, buffers[s->ring], buffers[s->target], s->rows);
  if (auto* s = std::get_if<ResizeStep>(&step)) {
    const Buffer &source = buffers[s->source], &target = buffers[s->target];
    s->table_columns = resize_table(source.width, target.width, s->corners);
    s->table_rows = resize_table(source.height, target.height, s->corners);
  }
  if (auto* s = std::get_if<i8::DepthwiseStep>(&step))
    s->tables = byte_tables(s->window, buffers[s->source], buffers[s->target], s->rows);
  if (auto* s = std::get_if<i8::ExpandDepthwiseStep>(&step))
    s->tables = byte_tables(s->window, buffers[s->ring], buffers[s->target], s->rows);
#ifndef MOBILENET_NO_BF16
  if (auto* s = std::get_if<bf16::EmitStep>(&step)) outputs[s->output].bytes = false;
  if (auto* s = std::get_if<bf16::DepthwiseStep>(&step))
    s->table = byte_table(s->window, buffers[s->source], 0, buffers[s->target], 0, s->rows);
  if (auto* s = std::get_if<bf16::ExpandDepthwiseStep>(&step))
    s->table = byte_table(s->window, buffers[s->ring], 0, buffers[s->target], 0, s->rows);
  if (auto* s = std::get_if<bf16::ResizeStep>(&step)) {
    const Buffer &source = buffers[s->source], &target = buffers[s->target];
    s->table_columns = resize_table(source.width, target.width, s->corners);
    s->table_rows = resize_table(source.height, target.height, s->corners);
  }
#endif
  if (auto* s = std::get_if<i8::ResizeStep>(&step)) {
    const Buffer &source = buffers[s->source], &target = buffers[s->target];
    s->table_columns = blend_table(source.width, target.width, s->corners, s->blend);
    s->table_rows = blend_table(source.height, target.height, s->corners, s->blend);
  }
}

void Program::stage() { stages.emplace_back(threads); }

RowTable Program::row_table(const Window& window, const Buffer& source, const Buffer& target, Span rows) {
  const std::size_t values = static_cast<std::size_t>(rows.to - rows.from) * (window.kernel + 1);
  require((table_values_ += values) <= kMaxTableValues, "too many rows in all its steps");
  RowTable table;
  table.reserve(values);
  for (int y = rows.from; y < rows.to; ++y) {
    table.push_back(target.row(y));
    for (int i = 0; i < window.kernel; ++i) {
      const int row = window.source_row(y, i);
      table.push_back(row < 0 || row >= source.height ? kOutside : source.row(row) - window.left * kBlock);
    }
  }
  return table;
}

RowTable Program::byte_table(const Window& window, const Buffer& source, int source_block, const Buffer& target, int block,
                             Span rows) {
  const std::size_t values = static_cast<std::size_t>(rows.to - rows.from) * (window.kernel + 1);
  require((table_values_ += values) <= kMaxTableValues, "too many rows in all its steps");
  RowTable table;
  table.reserve(values);
  for (int y = rows.from; y < rows.to; ++y) {
    table.push_back(target.row_bytes(y, block));
    for (int i = 0; i < window.kernel; ++i) {
      const int row = window.source_row(y, i);
      const bool outside = row < 0 || row >= source.height;
      table.push_back(outside ? kOutside : source.row_bytes(row, source_block) - window.left * source.pixel_bytes(source_block));
    }
  }
  return table;
}

// For the full panels, and for the last one, whose pixels are narrower. A ring of one panel holds each of them in turn.
std::vector<RowTable> Program::byte_tables(const Window& window, const Buffer& source, const Buffer& target, Span rows) {
  const int last = target.blocks() - 1;
  std::vector<RowTable> tables;
  for (int block : {0, last})
    tables.push_back(byte_table(window, source, source.channels == target.channels ? block : 0, target, block, rows));
  return tables;
}

std::shared_ptr<const i8::BlendTable> Program::blend_table(int from, int to, Corners corners, i8::Blend blend) {
  std::shared_ptr<const i8::BlendTable>& known = blend_tables_[{from, to, corners, blend}];
  if (known) return known;
  require((table_values_ += 2 * static_cast<std::size_t>(to)) <= kMaxTableValues, "too many rows in all its steps");
  switch (blend) {
    case i8::Blend::even: return known = std::make_shared<const i8::BlendTable>(even_taps(from, to, corners));
    case i8::Blend::real: return known = std::make_shared<const i8::BlendTable>(real_taps(from, to, corners));
    default: return known = std::make_shared<const i8::BlendTable>(fine_taps(from, to, corners));
  }
}

std::shared_ptr<const ResizeTable> Program::resize_table(int from, int to, Corners corners) {
  std::shared_ptr<const ResizeTable>& known = resize_tables_[{from, to, corners}];
  if (known) return known;
  require((table_values_ += 2 * static_cast<std::size_t>(to)) <= kMaxTableValues, "too many rows in all its steps");
  auto table = std::make_shared<ResizeTable>();
  for (int i = 0; i < to; ++i) {
    const double x = resized(i, from, to, corners);
    const int first = static_cast<int>(x) < from ? static_cast<int>(x) : from - 1;
    table->first.push_back(first);
    table->second.push_back(first + 1 < from ? first + 1 : from - 1);
    table->weight.push_back(static_cast<float>(std::min(x - first, 1.0)));
  }
  return known = table;
}

}  // namespace mobilenet
