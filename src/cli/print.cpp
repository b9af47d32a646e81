#include "cli/print.h"

#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace mote {

void print_error(std::string_view message) {
    log_line(LogLevel::error, message);
}

void print_warning(std::string_view message) {
    log_line(LogLevel::warning, message);
}

bool print_text(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        text.remove_prefix(static_cast<size_t>(written));
    }
    return true;
}

}  // namespace mote
