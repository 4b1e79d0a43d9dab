// The library's own code pages, read before they are needed.
#pragma once

namespace mobilenet {

// Reads all of this library's code into memory, if the system can: otherwise each page is read when its first function
// runs, and the first image waits for the disk. Half a megabyte that all processes with the library share.
void preload_code();

}  // namespace mobilenet
