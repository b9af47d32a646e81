#include "devices/virtio/vsock_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <system_error>

namespace mote {

namespace {

using End = HostTransfer::End;

/// With its end; a longer line is none.
constexpr size_t kMaxLine = 32;
constexpr std::string_view kBlanks = " \t\r\v\f";

HostTransfer failed_transfer() {
    return {.bytes = 0, .end = errno == EAGAIN ? End::later : End::closed};
}

template <class Call>
ssize_t uninterrupted(Call call) {
    ssize_t result = 0;
    do {
        result = call();
    } while (result < 0 && errno == EINTR);
    return result;
}

/// Takes the next word off `text`.
std::string_view next_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    text.remove_prefix(word.size());
    return word;
}

bool same_letters(std::string_view text, std::string_view upper) {
    if (text.size() != upper.size()) return false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if ((c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c) != upper[i]) return false;
    }
    return true;
}

}  // namespace

HostTransfer host_send(int fd, std::span<const iovec> parts, size_t total) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    const ssize_t sent =
        uninterrupted([&] { return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (sent < 0) return failed_transfer();
    const auto bytes = static_cast<size_t>(sent);
    return {.bytes = bytes, .end = bytes == total ? End::more : End::later};
}

HostTransfer host_send(int fd, std::span<const std::byte> bytes) {
    const iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    return host_send(fd, std::span(&part, 1), bytes.size());
}

HostTransfer host_receive(int fd, std::span<iovec> parts, size_t total) {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t got = uninterrupted([&] { return ::recvmsg(fd, &message, MSG_DONTWAIT); });
    if (got < 0) return failed_transfer();
    if (got == 0) return {.bytes = 0, .end = End::closed};
    const auto bytes = static_cast<size_t>(got);
    // Less than there was room for is all there was, and an event will tell of more; but a message
    // with file descriptors (which are dropped) ends a read early.
    const bool all = bytes < total && (message.msg_flags & MSG_CTRUNC) == 0;
    return {.bytes = bytes, .end = all ? End::later : End::more};
}

HostConnect host_connect(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return {};
    path.copy(address.sun_path, path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return {};
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    if (uninterrupted([&] { return ::connect(fd.get(), generic, sizeof address); }) == 0)
        return {.socket = std::move(fd), .busy = false};
    return {.socket = {}, .busy = errno == EAGAIN};
}

HostGreeting host_greeting(int fd) {
    using State = HostGreeting::State;
    std::array<char, kMaxLine> bytes;
    const ssize_t got = uninterrupted(
        [&] { return ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT); });
    if (got <= 0) return {.state = got < 0 && errno == EAGAIN ? State::incomplete : State::wrong};
    const std::string_view text(bytes.data(), static_cast<size_t>(got));
    const size_t end = text.find('\n');
    if (end == std::string_view::npos && text.size() < kMaxLine)
        return {.state = State::incomplete};
    const auto port =
        end != std::string_view::npos ? parse_connect_line(text.substr(0, end)) : std::nullopt;
    // What is no line goes too: to close a socket with unread data is an error to the other side.
    const size_t size = port ? end + 1 : text.size();
    const ssize_t taken = ::recv(fd, bytes.data(), size, MSG_DONTWAIT);
    if (!port || taken != static_cast<ssize_t>(size)) return {.state = State::wrong};
    return {.state = State::complete, .port = *port};
}

std::optional<uint32_t> parse_connect_line(std::string_view line) {
    if (!same_letters(next_word(line), "CONNECT")) return std::nullopt;
    const std::string_view word = next_word(line);
    uint32_t port = 0;
    const char* const begin = std::to_address(word.begin());
    const auto [rest, error] = std::from_chars(begin, begin + word.size(), port);
    if (error != std::errc{} || rest != begin + word.size()) return std::nullopt;
    return port;
}

}  // namespace mote
