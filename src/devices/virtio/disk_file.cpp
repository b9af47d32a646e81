#include "devices/virtio/disk_file.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace mote {

namespace {

constexpr uint32_t kSectorSize = 512;
constexpr uint32_t kMaxBlockSize = 4096;
constexpr uint64_t kBounceSize = uint64_t{256} << 10U;
constexpr size_t kBounceAlignment = 4096;
constexpr uint64_t kZeroesSize = uint64_t{64} << 10U;

/// What a block device is addressed in.
uint32_t logical_block_size(int fd) {
    int logical = 0;
    if (::ioctl(fd, BLKSSZGET, &logical) == 0 && logical == static_cast<int>(kMaxBlockSize))
        return kMaxBlockSize;
    return kSectorSize;
}

/// What O_DIRECT transfers of this file have to be multiples of.
uint32_t direct_block_size(int fd) {
    struct statx info{};
    if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) != 0 && std::has_single_bit(info.stx_dio_offset_align))
        return std::clamp(info.stx_dio_offset_align, kSectorSize, kMaxBlockSize);
    return logical_block_size(fd);
}

uint32_t block_size_of(int fd, DiskFile::Kind kind, bool direct) {
    if (direct) return direct_block_size(fd);
    // Through the page cache all sizes can be read and written, but not discarded or zeroed.
    return kind == DiskFile::Kind::block_device ? logical_block_size(fd) : kSectorSize;
}

/// True for what says "not like this", where another way may work.
bool unsupported(int code) {
    return code == EOPNOTSUPP || code == ENOSYS || code == ENOTTY || code == ENODEV;
}

/// The same of fallocate(2), which says EINVAL for ranges that a block device cannot do.
bool cannot_allocate(int code) {
    return code == EINVAL || unsupported(code);
}

int fallocate_range(int fd, int mode, const DiskRange& range) {
    for (;;) {
        if (::fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
                        static_cast<off_t>(range.length)) == 0)
            return 0;
        if (errno != EINTR) return -errno;
    }
}

/// Copies between a flat buffer and part of a list of buffers, from `skip` bytes into the list.
template <class Copy>
void for_part(std::span<const iovec> buffers, uint64_t skip, uint64_t size, Copy copy) {
    for (const iovec& buffer : buffers) {
        if (skip >= buffer.iov_len) {
            skip -= buffer.iov_len;
            continue;
        }
        const uint64_t here = std::min(size, buffer.iov_len - skip);
        copy(static_cast<std::byte*>(buffer.iov_base) + skip, here);
        size -= here;
        skip = 0;
        if (size == 0) return;
    }
}

}  // namespace

DiskFile::DiskFile(UniqueFd file, Kind kind, bool direct)
    : file_(std::move(file)),
      direct_(direct),
      block_size_(block_size_of(file_.get(), kind, direct)),
      // With O_DIRECT even a transfer that "does not wait" waits for the disk.
      now_reads_(!direct),
      now_writes_(!direct) {}

std::optional<int> DiskFile::try_now(const DiskRequest& request) {
    ssize_t done = 0;
    const auto count = static_cast<int>(request.buffers.size());
    const auto offset = static_cast<off_t>(request.offset);
    if (request.op == DiskOp::read && now_reads_)
        done = ::preadv2(fd(), request.buffers.data(), count, offset, RWF_NOWAIT);
    else if (request.op == DiskOp::write && now_writes_ && !request.durable)
        done = ::pwritev2(fd(), request.buffers.data(), count, offset, RWF_NOWAIT);
    else
        return std::nullopt;
    // Short: the rest is not in the page cache, or not in the file. run() finds out.
    if (done >= 0)
        return static_cast<uint64_t>(done) == request.length ? std::optional(0) : std::nullopt;
    if (unsupported(errno)) (request.op == DiskOp::read ? now_reads_ : now_writes_) = false;
    // Whatever went wrong, the patient way says what it is.
    return std::nullopt;
}

int DiskFile::run(const DiskRequest& request) const {
    const int result = run_volatile(request);
    return result == 0 && request.durable ? sync() : result;
}

int DiskFile::sync() const {
    return ::fdatasync(fd()) == 0 ? 0 : -errno;
}

int DiskFile::run_volatile(const DiskRequest& request) const {
    switch (request.op) {
        case DiskOp::read:
        case DiskOp::write:
            return transfer(request);
        case DiskOp::flush:
            return sync();
        case DiskOp::discard:
        case DiskOp::write_zeroes:
            break;
    }
    for (const DiskRange& range : request.ranges) {
        const int result = request.op == DiskOp::discard ? discard(range) : zero(range);
        if (result != 0) return result;
    }
    return 0;
}

int DiskFile::transfer(const DiskRequest& request) const {
    const bool write = request.op == DiskOp::write;
    const auto count = static_cast<int>(request.buffers.size());
    const auto offset = static_cast<off_t>(request.offset);
    ssize_t done = 0;
    do {
        done = write ? ::pwritev(fd(), request.buffers.data(), count, offset)
                     : ::preadv(fd(), request.buffers.data(), count, offset);
    } while (done < 0 && errno == EINTR);
    if (done >= 0 && static_cast<uint64_t>(done) == request.length) return 0;
    if (done < 0 && errno == EINVAL && direct_) return transfer_bounced(request);
    if (done < 0) return -errno;
    // The rest, buffer by buffer: rare, so simple.
    uint64_t skip = static_cast<uint64_t>(done);
    int result = 0;
    for_part(request.buffers, skip, request.length - skip, [&](std::byte* data, uint64_t size) {
        if (result == 0) result = transfer_bytes(write, data, size, request.offset + skip);
        skip += size;
    });
    return result == -EINVAL && direct_ ? transfer_bounced(request) : result;
}

int DiskFile::transfer_bytes(bool write, std::byte* data, uint64_t size, uint64_t offset) const {
    while (size != 0) {
        const ssize_t done = write ? ::pwrite(fd(), data, size, static_cast<off_t>(offset))
                                   : ::pread(fd(), data, size, static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -errno;
        if (done == 0) return -EIO;  // the file became shorter than the disk
        data += done;
        size -= static_cast<uint64_t>(done);
        offset += static_cast<uint64_t>(done);
    }
    return 0;
}

// Through memory that is aligned as O_DIRECT wants it.
int DiskFile::transfer_bounced(const DiskRequest& request) const {
    const bool write = request.op == DiskOp::write;
    const uint64_t piece = std::min(request.length, kBounceSize);
    const uint64_t rounded = (piece + kBounceAlignment - 1) / kBounceAlignment * kBounceAlignment;
    const std::unique_ptr<std::byte, decltype(&std::free)> bounce(
        static_cast<std::byte*>(std::aligned_alloc(kBounceAlignment, rounded)), &std::free);
    if (!bounce) return -ENOMEM;
    for (uint64_t done = 0; done < request.length;) {
        const uint64_t here = std::min(piece, request.length - done);
        std::byte* flat = bounce.get();
        if (write)
            for_part(request.buffers, done, here, [&flat](const std::byte* data, uint64_t size) {
                std::memcpy(flat, data, size);
                flat += size;
            });
        const int result = transfer_bytes(write, bounce.get(), here, request.offset + done);
        if (result != 0) return result;
        if (!write)
            for_part(request.buffers, done, here, [&flat](std::byte* data, uint64_t size) {
                std::memcpy(data, flat, size);
                flat += size;
            });
        done += here;
    }
    return 0;
}

int DiskFile::discard(const DiskRange& range) const {
    if (range.length == 0) return 0;
    const int result = fallocate_range(fd(), FALLOC_FL_PUNCH_HOLE, range);
    return cannot_allocate(-result) ? 0 : result;
}

int DiskFile::zero(const DiskRange& range) const {
    if (range.length == 0) return 0;
    if (range.unmap) {
        const int result = fallocate_range(fd(), FALLOC_FL_PUNCH_HOLE, range);
        if (!cannot_allocate(-result)) return result;
    }
    const int result = fallocate_range(fd(), FALLOC_FL_ZERO_RANGE, range);
    if (!cannot_allocate(-result)) return result;
    alignas(kBounceAlignment) static std::array<std::byte, kZeroesSize> zeroes{};
    for (uint64_t done = 0; done < range.length;) {
        const uint64_t here = std::min(kZeroesSize, range.length - done);
        const int written = transfer_bytes(true, zeroes.data(), here, range.offset + done);
        if (written != 0) return written;
        done += here;
    }
    return 0;
}

}  // namespace mote
