// What mote says on standard output and standard error.
#pragma once

#include <string_view>

namespace mote {

/// One line on standard error; control characters in `message` (from a path, say) are replaced.
void print_error(std::string_view message);
void print_warning(std::string_view message);

/// All of `text` on standard output. False where it could not be written.
bool print_text(std::string_view text);

}  // namespace mote
