// Weights as bytes, and what belongs to them: labels, texts, how images are prepared. docs/program.md has the format.
#pragma once

#include <vector>

#include "preparation.h"
#include "program_file.h"

namespace mobilenet {

constexpr std::int32_t kWeightsVersion = 1;

// What stands before the weights. Texts are where the bytes are.
struct Card {
  i8::Packing packing;  // that integers are packed for, to be used where they stand; 0 lanes if they are as a network has them
  std::vector<const char*> labels;
  std::vector<std::pair<const char*, const char*>> texts;
  Preparation preparation;
  std::size_t bytes;  // of the card
};

// Throws std::invalid_argument on anything that is no card. `bytes` must begin at a multiple of 8, or of 64 if they are packed.
Card read_card(const void* bytes, std::size_t size);

// A layer's packed integers as they are written: words, then arrays.
struct PackedLayer {
  std::vector<int> words;
  std::vector<const Memory*> arrays;
};
// Throws std::invalid_argument if weights have more than 8 bits.
PackedLayer packed_layer(const Weights& weights);

// The constants of every layer, as they stand in the bytes, which must outlive this; packed when a program asks for them, or, if they are packed, used there.
class WeightsFile {
 public:
  // Throws std::invalid_argument on anything that is not complete.
  WeightsFile(const void* bytes, std::size_t size);

  // The weights that a program declares, packed for `kernels`. Throws std::invalid_argument if they are not those.
  Weights pack(const Declaration& declared, const Kernels& kernels, Slab* slab) const;

 private:
  struct Layer {
    const char* name;
    bool integer, wide, half, image;  // wide: weights of 16 bits; half: of float16; image: reads the image
    int outputs, inputs, kernel;
    const void* weight;
    const float* bias;
    i8::Constants constants;
    Weights packed;  // null if they are not

    std::size_t weights() const { return static_cast<std::size_t>(outputs) * inputs * kernel * kernel; }
  };
  static Layer read_layer(Reader& reader, const i8::Packing& packing);
  static Weights read_packed(Reader& reader, const Layer& layer, const i8::Packing& packing);
  static Weights pack_float(const Layer& layer, const Declaration& declared, const Kernels& kernels, Slab* slab);
  static Weights pack_integers(const Layer& layer, const Declaration& declared, const Kernels& kernels, Slab* slab);

  std::vector<Layer> layers_;
  i8::Packing packing_;
};

}  // namespace mobilenet
