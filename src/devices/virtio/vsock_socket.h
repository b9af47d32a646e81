// The host's side of a vsock connection: non-blocking Unix sockets, and the line by which a client
// says where it wants to go.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace mote {

/// What one transfer came to. `bytes` is right whatever `end` is.
struct HostTransfer {
    enum class End : uint8_t {
        more,    ///< the socket may take, or hold, more
        later,   ///< not before its next event
        closed,  ///< never again: the other side went away
    };
    size_t bytes = 0;
    End end = End::more;
};

/// Writes `parts` (`total` bytes) as far as the socket takes them, by one system call.
HostTransfer host_send(int fd, std::span<const iovec> parts, size_t total);
HostTransfer host_send(int fd, std::span<const std::byte> bytes);
/// Fills `parts` (`total` bytes, not 0) as far as the socket has data, by one system call.
HostTransfer host_receive(int fd, std::span<iovec> parts, size_t total);

/// A connection to the Unix socket `path`.
struct HostConnect {
    UniqueFd socket;    ///< invalid where there is none
    bool busy = false;  ///< somebody listens there, with too many clients waiting just now
};
HostConnect host_connect(const std::string& path);

/// What a client has said so far.
struct HostGreeting {
    enum class State : uint8_t { incomplete, complete, wrong };
    State state = State::incomplete;
    uint32_t port = 0;
};
/// Takes the line `CONNECT port\n` off the socket once it is there as a whole, and nothing of what
/// follows it.
HostGreeting host_greeting(int fd);

/// The port of a line without its end: the word CONNECT in any case, a decimal number, and whatever
/// follows after a blank.
std::optional<uint32_t> parse_connect_line(std::string_view line);

}  // namespace mote
