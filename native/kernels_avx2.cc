#include "vector_avx2.h"

#include "kernel_table.h"

namespace mobilenet {

extern const Kernels kAvx2 = kernels_of<Avx2>();

}  // namespace mobilenet
