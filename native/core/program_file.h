// Programs as bytes: the only way into the core, for Python, a file, a browser or a phone. docs/program.md has the format.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "program.h"

namespace mobilenet {

constexpr std::int32_t kProgramVersion = 4;
constexpr std::int32_t kPackingVersion = 1;  // of the order of packed weights; the same on all instruction sets

using Weights =
#ifdef MOBILENET_NO_BF16
    std::variant<ProductWeightsPtr, DepthwiseWeightsPtr, StemWeightsPtr, i8::ProductWeightsPtr, i8::DepthwiseWeightsPtr>;
#else
    std::variant<ProductWeightsPtr, DepthwiseWeightsPtr, StemWeightsPtr, i8::ProductWeightsPtr, i8::DepthwiseWeightsPtr,
                 bf16::ProductWeightsPtr>;
#endif

// What a program says of one layer's weights; a runtime that packs them itself needs no more than this and the constants.
struct Declaration {
  enum class Kind { product, depthwise, stem, product_i8, depthwise_i8, product_bf16 } kind;
  static constexpr int kKinds = 6;
  int outputs, inputs, kernel, panel_blocks;
  std::string name;
};
using FindWeights = std::function<Weights(const Declaration&)>;

// Reads a program, checks all of it and connects it with its weights, which `find` returns.
// `outputs` gets the outputs' names.
// Throws std::invalid_argument on anything that is not a complete program for these weights and this build.
std::unique_ptr<const Program> read_program(const void* bytes, std::size_t size, const FindWeights& find,
                                            const Kernels& kernels, std::vector<std::string>* outputs = nullptr);

}  // namespace mobilenet
