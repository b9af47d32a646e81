#include "cli/console.h"

#include <unistd.h>

#include "cli/socket_console.h"
#include "cli/stream_console.h"

namespace mote {

Result<ConsoleParts> ConsoleParts::create(size_t buffer_capacity) {
    ConsoleParts parts;
    parts.buffer = TRY(OutputBuffer::create(buffer_capacity));
    parts.event = TRY(EventFd::create());
    parts.wake = TRY(EventFd::create());
    return parts;
}

std::unexpected<Error> console_failed(std::string_view tried, const std::string& path) {
    const int code = errno;
    std::unexpected<Error> failure = fail_code(code, "console: cannot {} {}", tried, path);
    std::string& message = failure.error().message;
    if (code == ENOENT || code == ENOTDIR)
        message += "; make its folder, or give another path";
    else if (code == EACCES || code == EPERM)
        message += "; change the permissions there, or give another path";
    else
        message += "; give another path";
    return failure;
}

Result<std::unique_ptr<Console>> Console::create(const ConsoleConfig& config) {
    if (config.kind == ConsoleKind::off) return nullptr;
    ConsoleParts parts = TRY(ConsoleParts::create());
    if (config.kind == ConsoleKind::unix_socket)
        return std::make_unique<SocketConsole>(std::move(parts), config.path);
    if (config.kind == ConsoleKind::file)
        return std::make_unique<StreamConsole>(std::move(parts), config.path);
    return std::make_unique<StreamConsole>(std::move(parts), STDIN_FILENO, STDOUT_FILENO);
}

void Console::tell(ConsoleEvent what) {
    told_ = what;
    event().signal();
}

ConsoleEvent Console::take_event() {
    event().consume();
    return told_.exchange(ConsoleEvent::none);
}

}  // namespace mote
