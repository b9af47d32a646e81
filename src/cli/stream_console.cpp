#include "cli/stream_console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/errno_text.h"
#include "base/log.h"

namespace mote {

namespace {

constexpr size_t kWriteSize = 4096;
// How long the output thread rests after a write, for the bytes of a guest's line to gather.
constexpr int kGatherMilliseconds = 2;
constexpr size_t kReadSize = 1024;
// How often a process in the background looks whether it has come to the foreground: no signal
// tells a running one.
constexpr int kForegroundCheckMilliseconds = 200;

constexpr std::string_view kHelp =
    "\r\nmote: Ctrl-A x  end the machine at once    Ctrl-A a  send Ctrl-A    Ctrl-A h  this help"
    "\r\n";

void wait_until_writable(int fd) {
    pollfd descriptor{.fd = fd, .events = POLLOUT, .revents = 0};
    ::poll(&descriptor, 1, -1);
}

}  // namespace

StreamConsole::~StreamConsole() {
    finish(std::chrono::milliseconds(0));
}

Result<> StreamConsole::open_file() {
    // O_NONBLOCK: a FIFO without a reader is an error, not a wait.
    const int fd = ::open(path_.c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) {
        if (errno == ENXIO) return fail("console: nobody reads the FIFO {}; start a reader", path_);
        return console_failed("write", path_);
    }
    file_.reset(fd);
    struct stat status{};
    if (::fstat(file_.get(), &status) != 0) return console_failed("write", path_);
    if (S_ISBLK(status.st_mode))
        return fail("console: {} is a block device; give the path of a file", path_);
    ::fcntl(file_.get(), F_SETFL, O_APPEND);
    output_fd_ = file_.get();
    return {};
}

Result<> StreamConsole::open() {
    if (!path_.empty()) TRY(open_file());
    terminal_.claim();
    output_running_ = true;
    const auto started = output_thread_.start("console-out", [this] { write_output(); });
    output_running_ = started.has_value();
    return started;
}

Result<> StreamConsole::start_input(ConsoleInput& input) {
    if (input_fd_ < 0) return {};
    input.on_room([this] { wake().signal(); });
    return input_thread_.start("console-in", [this, &input] { read_input(input); });
}

void StreamConsole::resume() {
    terminal_.resume();
    wake().signal();  // the input thread looks whether it is in the background now
}

bool StreamConsole::leaves_line_open() {
    return path_.empty() && ::isatty(output_fd_) != 0 && ::isatty(STDERR_FILENO) != 0 &&
           buffer().ends_mid_line();
}

void StreamConsole::write_output() {
    for (;;) {
        // In this order: what was written before finish() is seen by the last look.
        const bool last = finishing_;
        const std::span<const std::byte> bytes = buffer().peek();
        pollfd readable{.fd = buffer().readable().fd(), .events = POLLIN, .revents = 0};
        if (!bytes.empty()) {
            buffer().consume(write_some(bytes.first(std::min(bytes.size(), kWriteSize))));
            // Bytes come one by one: what follows the first soon goes out together. Only finish()
            // ends this wait early, as nobody has been told that we wait for bytes.
            if (!last && bytes.size() < kWriteSize) ::poll(&readable, 1, kGatherMilliseconds);
            continue;
        }
        if (last) break;
        ::poll(&readable, 1, -1);
        buffer().readable().consume();
    }
    const std::lock_guard lock(mutex_);
    output_running_ = false;
    output_ended_.notify_all();
}

size_t StreamConsole::write_some(std::span<const std::byte> bytes) {
    if (output_failed_) return bytes.size();
    const ssize_t written = ::write(output_fd_, bytes.data(), bytes.size());
    return written < 0 ? write_failed(errno, bytes.size()) : static_cast<size_t>(written);
}

size_t StreamConsole::write_failed(int code, size_t size) {
    if (code == EINTR) return 0;
    if (code == EAGAIN) {  // somebody else made the description non-blocking
        wait_until_writable(output_fd_);
        return 0;
    }
    output_failed_ = true;
    // A reader that has gone, or a terminal, is no news; a full disk is.
    if (code != EPIPE && code != EIO)
        log_message(LogLevel::warning,
                    "console: cannot write {} ({}); the output is lost from here",
                    path_.empty() ? "to standard output" : path_, errno_text(code));
    return size;
}

void StreamConsole::read_input(ConsoleInput& port) {
    InputQueue queue;
    bool open = true;
    while (!finishing_ && (open || !queue.empty())) {
        if (wait_for_input(open, queue)) open = read_some(queue);
        queue.offer(port);
    }
}

bool StreamConsole::wait_for_input(bool open, const InputQueue& queue) {
    const bool claimed = terminal_.claim();
    std::array<pollfd, 2> descriptors{{{.fd = wake().fd(), .events = POLLIN, .revents = 0},
                                       {.fd = input_fd_, .events = POLLIN, .revents = 0}}};
    // A pipe's writer waits with us; a person's Ctrl-A x must be seen.
    if (!open || (!queue.empty() && !terminal_.is_terminal())) descriptors[1].fd = -1;
    int timeout = -1;
    if (!claimed) {
        timeout = kForegroundCheckMilliseconds;
        descriptors[1].events = 0;  // what is typed is for others, but a hang-up is for all
    }
    ::poll(descriptors.data(), descriptors.size(), timeout);
    if (descriptors[0].revents != 0) wake().consume();
    return descriptors[1].revents != 0;
}

bool StreamConsole::read_some(InputQueue& queue) {
    std::array<std::byte, kReadSize> bytes;
    const ssize_t got = ::read(input_fd_, bytes.data(), bytes.size());
    if (got <= 0) return read_failed(got, errno);
    const auto typed = std::span(bytes).first(static_cast<size_t>(got));
    if (!terminal_.is_terminal()) {
        queue.add(typed);
        return true;
    }
    to_guest_.clear();
    escapes_.feed(typed, to_guest_, [this](EscapeAction action) { act(action); });
    queue.add(to_guest_);
    return true;
}

bool StreamConsole::read_failed(ssize_t got, int code) {
    if (got < 0 && (code == EINTR || code == EAGAIN)) return true;
    if (!terminal_.is_terminal()) return false;
    // EIO is what a process in the background gets, and what is left of a terminal that is gone.
    if (got < 0 && code == EIO && !terminal_.claim()) return true;
    tell(ConsoleEvent::hangup);
    return false;
}

void StreamConsole::act(EscapeAction action) {
    switch (action) {
        case EscapeAction::quit:
            tell(ConsoleEvent::quit);
            break;
        case EscapeAction::help:
            buffer().write(std::as_bytes(std::span(kHelp)));
            break;
    }
}

bool StreamConsole::wait_until_drained(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return output_ended_.wait_for(lock, limit, [this] { return !output_running_; });
}

uint64_t StreamConsole::finish(std::chrono::milliseconds limit) {
    finishing_ = true;
    wake().signal();
    buffer().readable().signal();
    const bool drained = wait_until_drained(limit);
    terminal_.restore();
    return drained ? 0 : buffer().waiting();
}

}  // namespace mote
