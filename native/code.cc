#include "code.h"

#ifdef __linux__
#include <cstdint>

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace mobilenet {

#if defined(__linux__) && defined(MADV_POPULATE_READ)

namespace {

int visit(dl_phdr_info* library, std::size_t, void* inside) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(inside), page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& part = library->dlpi_phdr[i];
    const std::uintptr_t first = library->dlpi_addr + part.p_vaddr, last = first + part.p_memsz;
    if (part.p_type != PT_LOAD || !(part.p_flags & PF_X) || wanted < first || wanted >= last) continue;
    const std::uintptr_t start = first / page * page, end = (last + page - 1) / page * page;
    (void)madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_READ);  // where it cannot, it comes as it is met
    return 1;
  }
  return 0;
}

}  // namespace

void bring_code_in() { dl_iterate_phdr(&visit, reinterpret_cast<void*>(&bring_code_in)); }

#else

void bring_code_in() {}

#endif

}  // namespace mobilenet
