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
    std::variant<ProductWeightsPtr, DepthwiseWeightsPtr, StemWeightsPtr, i8::ProductWeightsPtr, i8::DepthwiseWeightsPtr,
                 bf16::ProductWeightsPtr>;
using FindWeights = std::function<Weights(const std::string& name)>;

// Reads a program, checks all of it and connects it with its weights, which `find` returns by name.
// Throws std::invalid_argument on anything that is not a complete program for these weights and this build.
std::unique_ptr<const Program> read_program(const void* bytes, std::size_t size, const FindWeights& find,
                                            const Kernels& kernels);

}  // namespace mobilenet
