#include "control/unix_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace mote {

namespace {

constexpr int kBacklog = 1024;

/// What lies at a path that bind(2) found taken.
std::unexpected<Error> taken(std::string_view what, const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
        return fail("{}: {} exists and is no socket; give another path", what, path);
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = unix_address(path);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(probe.get(), generic, sizeof address) != 0 && errno == ECONNREFUSED)
        return fail(
            "{}: {} is left over from a process that has ended; remove it, or give another path",
            what, path);
    return fail("{}: {} is in use by another process; give another path", what, path);
}

}  // namespace

sockaddr_un unix_address(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

void SocketName::remove() noexcept {
    struct stat status{};
    if (inode_ != 0 && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_)
        ::unlink(path_.c_str());
    inode_ = 0;
}

Result<UnixListener> listen_at(std::string_view what, const std::string& path) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return fail_errno("{}: cannot make a socket", what);
    // Before bind() it is the mode that the path gets: who may connect is who may open.
    ::fchmod(socket.get(), 0600);
    const sockaddr_un address = unix_address(path);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    if (::bind(socket.get(), generic, sizeof address) != 0) {
        if (errno == EADDRINUSE) return taken(what, path);
        return fail_errno("{}: cannot make the socket {}", what, path);
    }
    struct stat status{};
    SocketName name;
    if (::lstat(path.c_str(), &status) == 0) name = SocketName(path, status.st_ino);
    if (::listen(socket.get(), kBacklog) != 0)
        return fail_errno("{}: cannot listen on {}", what, path);
    return UnixListener{.socket = std::move(socket), .name = std::move(name)};
}

Result<> allow_open_files(std::string_view what, uint32_t count) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0)
        return fail_errno("{}: cannot read the limit of open files", what);
    if (files.rlim_cur < count) {
        const rlimit more{.rlim_cur = count, .rlim_max = std::max<rlim_t>(files.rlim_max, count)};
        if (::setrlimit(RLIMIT_NOFILE, &more) != 0)
            return fail(
                "{}: {} open files are needed, and at most {} are allowed (ulimit -Hn); raise that "
                "limit, or give fewer connections",
                what, count, files.rlim_max);
    }
    // The table grows with the highest number that was ever used.
    const UniqueFd any(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UniqueFd last(::fcntl(any.get(), F_DUPFD_CLOEXEC, static_cast<int>(count) - 1));
    return {};
}

}  // namespace mote
