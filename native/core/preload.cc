#include "preload.h"

#ifdef __linux__
#include <cstddef>
#include <cstdint>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace mobilenet {

#if defined(__linux__) && defined(MADV_POPULATE_READ) && !defined(MOBILENET_NO_MMAP)

namespace {

// Called for each loaded library; reads the code segment that holds `address`.
int visit(dl_phdr_info* library, std::size_t, void* address) {
  const auto inside = reinterpret_cast<std::uintptr_t>(address), page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& segment = library->dlpi_phdr[i];
    const std::uintptr_t first = library->dlpi_addr + segment.p_vaddr, last = first + segment.p_memsz;
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) || inside < first || inside >= last) continue;
    const std::uintptr_t start = first / page * page, end = (last + page - 1) / page * page;
    (void)madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_READ);  // best effort
    return 1;
  }
  return 0;
}

}  // namespace

void preload_code() { dl_iterate_phdr(&visit, reinterpret_cast<void*>(&preload_code)); }

#else

void preload_code() {}

#endif

}  // namespace mobilenet
