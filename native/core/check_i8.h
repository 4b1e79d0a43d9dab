// The checks of int8 steps, for check.cc. Each throws std::invalid_argument unless the step stays inside its buffers.
#pragma once

#include "program.h"

namespace mobilenet::i8 {

void check(const Program& program, const PixelStep& step);
void check(const Program& program, const ProductStep& step);
void check(const Program& program, const DepthwiseStep& step);
void check(const Program& program, const ExpandDepthwiseStep& step);
void check(const Program& program, const PooledProductStep& step);
void check(const Program& program, const GlobalPoolStep& step);
void check(const Program& program, const AddStep& step);
void check(const Program& program, const ResizeStep& step);
void check(const Program& program, const ConcatStep& step);
void check(const Program& program, const EmitStep& step);

}  // namespace mobilenet::i8
