#include "control/open_file.h"

#include <fcntl.h>

namespace mote {

namespace {

std::string_view kind_name(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return "a directory";
        case S_IFIFO:
            return "a FIFO";
        case S_IFSOCK:
            return "a socket";
        case S_IFCHR:
            return "a character device";
        case S_IFBLK:
            return "a block device";
        default:
            return "not a file";
    }
}

bool is_accepted(mode_t mode, AlsoAccept also) {
    return S_ISREG(mode) || (also == AlsoAccept::block_device && S_ISBLK(mode)) ||
           (also == AlsoAccept::pipe && S_ISFIFO(mode));
}

Result<> check_kind(std::string_view what, const std::string& path, mode_t mode, AlsoAccept also) {
    if (is_accepted(mode, also)) return {};
    return fail("{}: {} is {}; give a regular file{}", what, path, kind_name(mode),
                also == AlsoAccept::block_device ? " or a block device" : "");
}

std::string_view advice(int code, int flags) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (code == ENOENT || code == ENOTDIR) return "; check the path";
    if ((code == EACCES || code == EPERM || code == EROFS) && writes)
        return "; change its permissions, or attach it read-only (,ro)";
    if (code == EACCES || code == EPERM) return "; change its permissions, or run as its owner";
    if (code == EINVAL && (flags & O_DIRECT) != 0)
        return "; its file system has no O_DIRECT: use cache=writeback";
    if (code == EBUSY && (flags & O_EXCL) != 0) return "; it is mounted or used by another program";
    return "";
}

std::unexpected<Error> open_failed(std::string_view what, const std::string& path, int flags) {
    const int code = errno;
    std::unexpected<Error> failure = fail_code(code, "{}: cannot open {}", what, path);
    failure.error().message += advice(code, flags);
    return failure;
}

}  // namespace

FileIdentity identity_of(const struct stat& status) {
    if (S_ISBLK(status.st_mode)) return {.device = status.st_rdev, .inode = 0};
    return {.device = status.st_dev, .inode = status.st_ino};
}

Result<OpenFile> open_file(std::string_view what, const std::string& path, int flags,
                           AlsoAccept also) {
    // Looked at before it is opened, since opening some devices does something; and after, since
    // the path may have come to name another file in between.
    OpenFile file;
    if (::stat(path.c_str(), &file.status) != 0) return open_failed(what, path, flags);
    TRY(check_kind(what, path, file.status.st_mode, also));
    file.fd.reset(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file.fd.valid()) return open_failed(what, path, flags);
    if (::fstat(file.fd.get(), &file.status) != 0) return open_failed(what, path, flags);
    TRY(check_kind(what, path, file.status.st_mode, also));
    return file;
}

}  // namespace mote
