// read_small_file(): what a file of /proc, /sys or /etc says.
#pragma once

#include <string>

namespace mote {

/// A small file's content without the last line end, or empty (as where there is no such file). Of
/// a longer one the first 64 KiB or so.
std::string read_small_file(const char* path);

}  // namespace mote
