// The outputs of a detector, of any bits: read and suppressed inside their memory, results in order.
#include "../../native/core/detections.h"
#include "support.h"

using namespace mobilenet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const int slots = 2 + input.byte() % 4, num_maps = input.byte() % 4, flags = input.byte();
  const Reading reading{.slots = slots, .softmax = (flags & 1) != 0, .yxhw = (flags & 2) != 0,
                        .threshold = input.byte() / 255.0f, .iou = input.byte() / 255.0f,
                        .most = static_cast<std::size_t>(input.byte()), .candidates = static_cast<std::size_t>(input.byte() % 8),
                        .width = 1.0 + input.byte(), .height = 1.0 + input.byte(), .window = {0, 0, 100, 100}};
  std::vector<std::vector<float>> values;
  std::vector<HeadMap> maps;
  long rows = 0;
  for (int i = 0; i < num_maps; ++i) {
    const int anchors = 1 + input.byte() % 3;
    const long cells = input.byte() % 40;
    values.push_back(input.floats(anchors * slots * cells));
    values.push_back(input.floats(anchors * 4 * cells));
    maps.push_back({values[2 * i].data(), values[2 * i + 1].data(), cells, anchors});
    rows += anchors * cells;
  }
  const std::vector<float> shares = input.floats(4 * rows);
  const std::vector<double> defaults(shares.begin(), shares.end());
  std::vector<Box> boxes;
  const std::vector<Candidate> found = detect(maps, defaults.data(), reading, boxes);
  expect(found.size() <= reading.most, "at most as many as asked for");
  for (std::size_t i = 1; i < found.size(); ++i) expect(found[i - 1] < found[i], "best first");
  return 0;
}
