// listen_at(): a Unix socket that clients come to, and its name in the file system.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// The name of a socket that mote made; removes it, if it is still that socket's. Move-only.
class SocketName {
  public:
    SocketName() = default;
    SocketName(std::string path, ino_t inode) : path_(std::move(path)), inode_(inode) {}
    SocketName(SocketName&& other) noexcept
        : path_(std::move(other.path_)), inode_(std::exchange(other.inode_, 0)) {}
    SocketName& operator=(SocketName&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(inode_, other.inode_);
        return *this;
    }
    SocketName(const SocketName&) = delete;
    SocketName& operator=(const SocketName&) = delete;
    ~SocketName() { remove(); }

    /// Before the end of a process that runs no destructors.
    void remove() noexcept;

  private:
    std::string path_;
    ino_t inode_ = 0;
};

/// The address of the socket at `path`, which fits there (validate()).
[[nodiscard]] sockaddr_un unix_address(const std::string& path);

struct UnixListener {
    UniqueFd socket;  ///< listening, non-blocking
    SocketName name;
};

/// Makes a socket at `path` for which the owner alone has rights. `what` names the use in messages.
/// Errors: what is there already is named (a socket in use, one left over, something else), nothing
/// is removed; else what bind(2) says.
Result<UnixListener> listen_at(std::string_view what, const std::string& path);

/// Makes room for `count` open files of this process, in its limit and in the kernel's table: a
/// table that grows while there are threads stops them for milliseconds. Call before there are any.
/// Errors: the limit that cannot be raised.
Result<> allow_open_files(std::string_view what, uint32_t count);

}  // namespace mote
