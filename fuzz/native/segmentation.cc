// Scores of any bits on masks of any size: every pixel gets a class that there is, or the scores are refused.
#include "../../native/core/mask.h"
#include "../../native/isa/isa.h"
#include "support.h"

using namespace mobilenet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const int classes = 1 + input.byte() % 40, width = 1 + input.byte() % 80, height = 1 + input.byte() % 12;
  const int columns = 1 + input.byte(), rows = 1 + input.byte() % 40, more = input.byte() % 4;
  const long pitch = width + more, plane = pitch * height + more;  // the part may lie in larger planes
  const bool logits = input.byte() & 1;
  std::vector<float> scores = input.floats(classes * plane);
  scores.resize(scores.size() - more * 2);  // nothing behind the last score is read
  const Scores all{.values = scores.data(), .bytes = nullptr, .zero = 0, .scale = 1, .classes = classes,
                   .plane = plane, .pitch = pitch, .width = width, .height = height, .logits = logits};
  std::vector<std::uint8_t> won(static_cast<std::size_t>(width) * height), mask(static_cast<std::size_t>(columns) * rows);
  std::vector<double> sums(classes);
  std::vector<std::int64_t> counts(classes);
  const bool finite = winners(all, won.data(), sums.data(), counts.data());
  std::vector<std::uint8_t> won_again(won.size());
  std::vector<double> sums_again(classes);
  const int lanes = kernels_for("").f32.lanes;
  expect(winners(all, won_again.data(), sums_again.data(), counts.data(), lanes) == finite && won_again == won &&
             (!finite || sums_again == sums),
         "every instruction set has the same bits");
  std::int64_t total = 0;
  for (const std::int64_t count : counts) total += count;
  expect(total == static_cast<std::int64_t>(won.size()), "every score is won by one class");
  if (!finite) return 0;
  enlarge(all, won.data(), places(height, rows), places(width, columns), mask.data());
  for (const std::uint8_t index : mask) expect(index < classes, "every pixel has a class");
  return 0;
}
