// DiskFile: the file or block device behind a disk, by plain system calls.
#pragma once

#include <cstdint>
#include <optional>

#include "base/unique_fd.h"
#include "devices/virtio/disk_request.h"

namespace mote {

/// Results are 0 or a negative errno.
class DiskFile {
  public:
    enum class Kind : uint8_t { file, block_device };

    /// `direct`: the file was opened with O_DIRECT.
    DiskFile(UniqueFd file, Kind kind, bool direct);

    [[nodiscard]] int fd() const { return file_.get(); }
    /// The smallest unit that can be read and written, in bytes: 512, or what a block device or
    /// O_DIRECT demands.
    [[nodiscard]] uint32_t block_size() const { return block_size_; }

    /// The result, where reading or writing needs no waiting (the page cache has it), or nothing.
    /// One thread.
    std::optional<int> try_now(const DiskRequest& request);
    /// Does the whole request, however long it takes. Any thread. What the file system cannot do at
    /// once is done in smaller steps: rest of short transfers, buffers that O_DIRECT does not take,
    /// zeroes written where none can be made. A discard is a hint that may come to nothing.
    [[nodiscard]] int run(const DiskRequest& request) const;

  private:
    [[nodiscard]] int run_volatile(const DiskRequest& request) const;
    [[nodiscard]] int sync() const;
    [[nodiscard]] int transfer(const DiskRequest& request) const;
    [[nodiscard]] int transfer_bounced(const DiskRequest& request) const;
    [[nodiscard]] int transfer_bytes(bool write, std::byte* data, uint64_t size,
                                     uint64_t offset) const;
    [[nodiscard]] int discard(const DiskRange& range) const;
    [[nodiscard]] int zero(const DiskRange& range) const;

    UniqueFd file_;
    bool direct_;
    uint32_t block_size_;
    bool now_reads_;
    bool now_writes_;
};

}  // namespace mote
