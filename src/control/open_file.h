// open_file(): opens a file somebody named, and nothing that only looks like one.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Kinds of file that a use accepts beside regular ones.
enum class AlsoAccept : uint8_t { nothing, block_device, pipe };

/// Which file something is, whatever paths lead to it.
struct FileIdentity {
    dev_t device = 0;  ///< of a block device its own number, with inode 0
    ino_t inode = 0;
    bool operator==(const FileIdentity&) const = default;
};

[[nodiscard]] FileIdentity identity_of(const struct stat& status);

struct OpenFile {
    UniqueFd fd;
    struct stat status{};
};

/// Opens an existing file; never waits (for a FIFO's writer, a tape), never becomes the owner of a
/// terminal, creates nothing. `what` names the use in messages ("kernel"); `flags` are open(2)'s
/// access mode and O_DIRECT or O_EXCL. Errors: the open's, or that it is another kind of file.
Result<OpenFile> open_file(std::string_view what, const std::string& path, int flags,
                           AlsoAccept also);

}  // namespace mote
