// What an errno means, in words.
#pragma once

#include <string>
#include <string_view>

namespace mote {

/// "No such file or directory"; for a number that the C library does not know, "error 4711". Any
/// thread.
std::string errno_text(int code);

/// What a person can do about `code` wherever it comes from, to be put behind a message: "; raise
/// ..."; empty where that depends on what was tried. Any thread.
std::string_view errno_advice(int code);

}  // namespace mote
