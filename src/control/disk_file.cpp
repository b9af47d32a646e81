#include "control/disk_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/errno_text.h"
#include "base/log.h"
#include "control/options.h"

namespace mote {

namespace {

constexpr uint64_t kSectorSize = 512;

Result<uint64_t> size_of(std::string_view id, const std::string& path, const OpenFile& file) {
    if (!S_ISBLK(file.status.st_mode)) return static_cast<uint64_t>(file.status.st_size);
    uint64_t bytes = 0;
    if (::ioctl(file.fd.get(), BLKGETSIZE64, &bytes) != 0)
        return fail_errno("{}: cannot read the size of {}", id, path);
    return bytes;
}

/// Images are raw, whatever their first bytes say; but who gives a qcow2 image expects otherwise.
void warn_of_qcow2(std::string_view id, const std::string& path, int fd) {
    alignas(4096) std::array<char, 4096> start{};  // aligned for O_DIRECT
    if (::pread(fd, start.data(), start.size(), 0) < 4) return;
    if (std::string_view(start.data(), 4) == "QFI\xFB")
        log_message(
            LogLevel::warning,
            "{}: {} looks like a qcow2 image but is used as a raw one; `qemu-img convert -O "
            "raw` makes a raw one",
            id, path);
}

/// Tries for a second: when a process with an io_uring has ended, the kernel closes the ring's
/// files, and with them gives up their locks, some time later. Returns 0 or the errno.
int take_lock(int fd, struct flock& lock) {
    constexpr int kTries = 1000;
    for (int tried = 1;; ++tried) {
        if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return 0;
        if ((errno != EAGAIN && errno != EACCES) || tried == kTries) return errno;
        ::usleep(1'000);
    }
}

}  // namespace

Result<OpenedDisk> open_disk(std::string_view id, const DiskConfig& config) {
    int flags = config.read_only ? O_RDONLY : O_RDWR;
    if (config.cache == CacheMode::direct) flags |= O_DIRECT;
    OpenFile file = TRY(open_file(id, config.path, flags, AlsoAccept::block_device));
    if (S_ISBLK(file.status.st_mode) && !config.read_only)
        file = TRY(open_file(id, config.path, flags | O_EXCL, AlsoAccept::block_device));
    // Left set, O_NONBLOCK would make io_uring fail requests with EAGAIN.
    ::fcntl(file.fd.get(), F_SETFL, flags & ~O_ACCMODE);

    const uint64_t size = TRY(size_of(id, config.path, file));
    if (size == 0) return fail("{}: {} is empty; give a disk image", id, config.path);
    if (size < kSectorSize)
        return fail("{}: {} has {} bytes, less than one sector of {}", id, config.path, size,
                    kSectorSize);
    if (size % kSectorSize != 0)
        log_message(LogLevel::warning,
                    "{}: {} does not end at a sector's end; its last {} bytes are left out", id,
                    config.path, size % kSectorSize);
    warn_of_qcow2(id, config.path, file.fd.get());

    return OpenedDisk{
        .resource = {.id = std::string(id),
                     .file = std::move(file.fd),
                     .size_bytes = size - size % kSectorSize,
                     .block_device = S_ISBLK(file.status.st_mode),
                     .read_only = config.read_only,
                     .cache = config.cache.value_or(CacheMode::writeback),
                     .iops = config.iops,
                     .bps = config.bps,
                     .own_worker = config.own_worker},
        .identity = identity_of(file.status),
    };
}

Result<> lock_disk(const DiskResource& disk, std::string_view path) {
    // Of the open file description, not of the process: it lasts until the last copy is closed.
    struct flock lock{};
    lock.l_type = disk.read_only ? F_RDLCK : F_WRLCK;
    lock.l_whence = SEEK_SET;
    const int code = take_lock(disk.file.get(), lock);
    if (code == 0) return {};
    if (code != EAGAIN && code != EACCES) {
        log_message(LogLevel::warning,
                    "{}: cannot lock {} against other writers ({}); see that nobody else uses it",
                    disk.id, path, errno_text(code));
        return {};
    }
    const bool asked = ::fcntl(disk.file.get(), F_OFD_GETLK, &lock) == 0;
    const bool by_readers = asked && lock.l_type == F_RDLCK;
    return fail("{}: {} is used for {} by another process; end that one, or {}", disk.id, path,
                by_readers ? "reading" : "writing",
                by_readers ? "attach it read-only (,ro)" : "give a copy");
}

}  // namespace mote
