// The checks of bfloat16 steps, for check.cc. Each throws std::invalid_argument unless the step stays inside its buffers.
#pragma once

#include "program.h"

namespace mobilenet {

void check(const Program& program, const bf16::StemStep& step);
void check(const Program& program, const bf16::ProductStep& step);
void check(const Program& program, const bf16::DepthwiseStep& step);
void check(const Program& program, const bf16::ExpandDepthwiseStep& step);
void check(const Program& program, const bf16::PooledProductStep& step);
void check(const Program& program, const bf16::GlobalPoolStep& step);
void check(const Program& program, const bf16::AddStep& step);
void check(const Program& program, const bf16::ResizeStep& step);
void check(const Program& program, const bf16::ConcatStep& step);
void check(const Program& program, const bf16::EmitStep& step);

}  // namespace mobilenet
