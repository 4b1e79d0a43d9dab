// Integer weights as the int8 kernels read them: packed once when a model is loaded, then shared and never changed.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "constants_i8.h"

namespace mobilenet::i8 {

// Panel by panel: [part][tap][four inputs][registers of the part][output][input of the four]. See `slot_of` for the order of
// outputs and `part_vectors` for the parts. The inputs of a source panel are rounded up to four. Wide weights have 16 bits, and
// stand in a register's place as [inputs 0 and 2, or 1 and 3][output][input of the two].
struct ProductWeights {
  int inputs, outputs, kernel;
  bool image;     // the source is the image: pixels of 4 bytes
  bool real;      // results are float32
  bool residual;  // a residual goes into the sums
  Packing packing;
  std::vector<std::size_t> offsets;  // of each panel in `weights`
  // Of each panel: the inputs with a weight that does not fit into 8 bits, and what remains of these weights for a second pass, by
  // [part][input][registers of the part][output][input of the four].
  std::vector<std::vector<More>> more;
  std::vector<std::vector<std::int8_t>> more_weights;
  PanelConstants constants;
  Memory weights, factors;

  ProductWeights(const Constants& constants, int outputs, int inputs, int kernel, bool image, const Packing& packing,
                 Slab* slab = nullptr);

  // Constants that were packed before, where they stand. Empty offsets and arrays, which `parts` lists, are filled in by the caller.
  ProductWeights(int outputs, int inputs, int kernel, bool image, bool real, bool residual, const Packing& packing);

  std::size_t set_offsets();  // returns the bytes of all weights
  void pack_more(const Constants& constants, int panel);
  int full_panels() const { return panels_of(inputs) - 1; }
  int all_quads() const { return full_panels() * (kPanel / 4) + quads(); }  // of all source panels
  int quads() const { return (inputs - full_panels() * kPanel + 3) / 4; }
  int narrow() const { return image ? 4 : panel_width(inputs, full_panels()); }
};

// Panel by panel. 3 x 3: [part][column][register][channel][three rows and a zero]; where a register holds several pixels of a
// panel, their weights are repeated. Other kernels: [tap][kSlots]. If some weight is more than 8 bits hold, there are several
// passes of all panels, whose weights are added.
struct DepthwiseWeights {
  int channels, kernel;
  Packing packing;
  std::size_t panel;  // bytes of a panel's weights
  std::vector<int> passes;  // of each panel
  PanelConstants constants;
  Memory weights;

  DepthwiseWeights(const Constants& constants, int channels, int kernel, const Packing& packing);
  DepthwiseWeights(int channels, int kernel, const Packing& packing);  // as for a product: `passes` and arrays are the caller's

  std::size_t weight_bytes() const { return static_cast<std::size_t>(all_passes()) * panels_of(channels) * panel; }

 private:
  int all_passes() const { return *std::max_element(passes.begin(), passes.end()); }
  // The channel of panel `p` in a byte of the registers that hold a pixel. Registers hold narrow pixels several times.
  int channel_at(int p, int byte) const;
  Slots slots() const;
  void pack(const Constants& constants, int p, int pass, std::int8_t* packed) const;  // a panel's weights of a pass
};

using ProductWeightsPtr = std::shared_ptr<const ProductWeights>;
using DepthwiseWeightsPtr = std::shared_ptr<const DepthwiseWeights>;

}  // namespace mobilenet::i8
