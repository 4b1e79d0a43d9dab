// How the core gives up. A build without exceptions calls `mobilenet_failed`, which must not return: a browser or a small board
// shows the message and stops there.
#pragma once

#include <string>

namespace mobilenet {

[[noreturn]] void fail_argument(const std::string& what);  // throws std::invalid_argument
[[noreturn]] void fail_memory();                           // throws std::bad_alloc

std::string decimal(long long value);  // for messages; std::to_string is 2 kB of code in a browser's module

}  // namespace mobilenet
