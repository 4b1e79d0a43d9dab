#include "vector_avx512.h"

#include "kernel_table.h"

namespace mobilenet {

extern const Kernels kAvx512 = kernels_of<Avx512>();

}  // namespace mobilenet
