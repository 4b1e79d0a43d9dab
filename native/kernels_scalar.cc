#include "vector_scalar.h"

#include "kernel_table.h"

namespace mobilenet {

extern const Kernels kScalar = kernels_of<Scalar>();

}  // namespace mobilenet
