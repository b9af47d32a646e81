#include "boot/image_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace mote {

Result<ImageFile> ImageFile::open(int fd) {
    struct stat info = {};
    if (::fstat(fd, &info) != 0) return fail_errno("cannot be examined");
    if (S_ISDIR(info.st_mode)) return fail("is a directory; name the file in it");
    if (!S_ISREG(info.st_mode))
        return fail("is not a regular file; copy its content into one and name that");
    if (info.st_size <= 0) return fail("is empty; make or download it again");
    return ImageFile(fd, static_cast<uint64_t>(info.st_size));
}

Result<> ImageFile::read(uint64_t offset, std::span<std::byte> out) const {
    if (!contains(offset, out.size()))
        return fail(
            "is truncated: {} bytes are needed at {}, the file has {} in all; "
            "make or download it again",
            out.size(), offset, size_);
    while (!out.empty()) {
        const ssize_t count = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("cannot be read at {}", offset);
        if (count == 0)
            return fail("became shorter while it was read, at {}; leave it alone at start", offset);
        out = out.subspan(static_cast<size_t>(count));
        offset += static_cast<uint64_t>(count);
    }
    return {};
}

Result<> ImageFile::load(const GuestMemory& memory, GuestAddress address, uint64_t offset,
                         uint64_t length) const {
    const auto window = memory.window(address, length);
    if (!window)
        return fail("needs memory at {:#x} to {:#x} that the guest does not have", address.value,
                    address.value + length);
    return read(offset, *window);
}

}  // namespace mote
