// The library's own code as memory.
#pragma once

namespace mobilenet {

// Brings all of the code in at once, where the system can: when the library is loaded, not function by function while the
// first picture runs, which then waits for the disk. Half a megabyte that every process with the library shares.
void bring_code_in();

}  // namespace mobilenet
