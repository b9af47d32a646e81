#include "cli/socket_console.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

namespace mote {

namespace {

constexpr size_t kReadSize = 1024;
constexpr std::string_view kTaken = "mote: this console has a client already\r\n";

void send_text(int fd, std::string_view text) {
    [[maybe_unused]] const auto sent =
        ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

SocketConsole::~SocketConsole() {
    finish(std::chrono::milliseconds(0));
}

Result<> SocketConsole::open() {
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.valid()) return fail_errno("console: cannot make a socket");
    // Before bind() it is the mode that the path gets: who may type is who may open.
    ::fchmod(listener.get(), 0600);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EADDRINUSE)
            return fail("console: {} exists already; remove it, or give another path", path_);
        return console_failed("make the socket", path_);
    }
    struct stat status{};
    if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
    if (::listen(listener.get(), 4) != 0) return console_failed("listen on", path_);
    listener_ = std::move(listener);
    buffer().keep_latest();
    running_ = true;
    const auto started = thread_.start("console", [this] { serve(); });
    running_ = started.has_value();
    return started;
}

Result<> SocketConsole::start_input(ConsoleInput& input) {
    input.on_room([this] { wake().signal(); });
    port_ = &input;
    wake().signal();
    return {};
}

void SocketConsole::serve() {
    InputQueue queue;
    while (serve_once(queue)) {
    }
    const std::lock_guard lock(mutex_);
    running_ = false;
    ended_.notify_all();
}

bool SocketConsole::serve_once(InputQueue& queue) {
    // In this order: what was written before finish() is seen by the last look.
    const bool last = finishing_;
    const bool has_output = client_.valid() && !buffer().peek().empty();
    if (abandoned_ || (last && !has_output)) return false;

    ConsoleInput* const port = port_;
    const bool takes_input = port != nullptr && queue.empty();
    const int client_events =
        (takes_input && !input_ended_ ? POLLIN : 0) | (has_output ? POLLOUT : 0);
    std::array<pollfd, 4> descriptors{{
        {.fd = wake().fd(), .events = POLLIN, .revents = 0},
        {.fd = buffer().readable().fd(), .events = POLLIN, .revents = 0},
        {.fd = listener_.get(), .events = POLLIN, .revents = 0},
        // Left out while nothing can be done about a hang-up: poll() would report it without end.
        {.fd = takes_input || has_output ? client_.get() : -1,
         .events = static_cast<short>(client_events),
         .revents = 0},
    }};
    ::poll(descriptors.data(), descriptors.size(), -1);
    if (descriptors[0].revents != 0) wake().consume();
    if (descriptors[1].revents != 0) buffer().readable().consume();
    serve_client(descriptors[3].revents, takes_input, queue);
    if (descriptors[2].revents != 0) accept_client();
    if (port != nullptr) queue.offer(*port);
    return true;
}

void SocketConsole::serve_client(short events, bool takes_input, InputQueue& queue) {
    if ((events & POLLOUT) != 0) send_output();
    const bool hung_up = (events & (POLLHUP | POLLERR)) != 0;
    if (client_.valid() && takes_input && (hung_up || (events & POLLIN) != 0))
        receive(hung_up, queue);
}

void SocketConsole::accept_client() {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) return;
    if (client_.valid()) {
        send_text(client.get(), kTaken);
        return;
    }
    client_ = std::move(client);
    input_ended_ = false;
    const uint64_t lost = buffer().stop_keeping_latest();
    if (lost != 0) send_text(client_.get(), OutputBuffer::marker(lost));
}

void SocketConsole::drop_client() {
    client_.reset();
    buffer().keep_latest();
}

void SocketConsole::send_output() {
    const std::span<const std::byte> bytes = buffer().peek();
    const ssize_t sent = ::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
        buffer().consume(static_cast<size_t>(sent));
    } else if (errno != EAGAIN && errno != EINTR) {
        drop_client();
    }
}

void SocketConsole::receive(bool hung_up, InputQueue& queue) {
    std::array<std::byte, kReadSize> bytes;
    const ssize_t got = ::recv(client_.get(), bytes.data(), bytes.size(), 0);
    if (got > 0) {
        queue.add(std::span(bytes).first(static_cast<size_t>(got)));
    } else if (got == 0 && !hung_up) {
        input_ended_ = true;  // it may still read
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        drop_client();
    }
}

uint64_t SocketConsole::finish(std::chrono::milliseconds limit) {
    finishing_ = true;
    wake().signal();
    bool drained = false;
    {
        std::unique_lock lock(mutex_);
        drained = ended_.wait_for(lock, limit, [this] { return !running_; });
    }
    abandoned_ = true;
    wake().signal();
    struct stat status{};
    if (inode_ != 0 && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_)
        ::unlink(path_.c_str());
    inode_ = 0;
    return drained ? 0 : buffer().waiting();
}

}  // namespace mote
