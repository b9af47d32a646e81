#include "control/unix_client.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "control/unix_listener.h"

namespace mote {

Result<UniqueFd> connect_to(std::string_view what, const std::string& path) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return fail_errno("{}: cannot make a socket", what);
    const sockaddr_un address = unix_address(path);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), generic, sizeof address) == 0) return socket;
    const int code = errno;
    struct stat status{};
    if (code == ECONNREFUSED && ::stat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
        return fail("{}: {} is no socket; give that of a running server", what, path);
    if (code == ECONNREFUSED)
        return fail("{}: nobody serves the socket {}; start its server first", what, path);
    if (code == ENOENT)
        return fail("{}: there is no socket {}; start its server first, or check the path", what,
                    path);
    if (code == EAGAIN)
        return fail("{}: the server of the socket {} takes no more clients; see that it runs", what,
                    path);
    if (code == EPROTOTYPE)
        return fail("{}: {} is a socket of another type; give one of type SOCK_STREAM", what, path);
    return fail_code(code, "{}: cannot connect to {}", what, path);
}

}  // namespace mote
