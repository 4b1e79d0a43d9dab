// Which instruction set this process runs on: the best one the processor has, or the one that MOBILENET_ISA names.
#pragma once

#include <string>
#include <vector>

#include "../kernels/kernels.h"

namespace mobilenet {

// Names of the instruction sets that are compiled in and that this processor has, slowest first.
std::vector<std::string> available_isas();

// The kernels of instruction set `name`, or of the best one if `name` is empty.
// Throws std::invalid_argument if `name` is unknown or this processor lacks it; the message lists the usable names.
const Kernels& kernels_for(const std::string& name);

}  // namespace mobilenet
