// DiskRequest: what a block device asks of the file behind it.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

namespace mote {

enum class DiskOp : uint8_t { read, write, flush, discard, write_zeroes };

/// Part of a disk, in bytes.
struct DiskRange {
    uint64_t offset = 0;
    uint64_t length = 0;
    bool unmap = false;  ///< write_zeroes: the space may be given back to the host
};

/// One request. What the spans refer to stays as it is until the request is complete.
struct DiskRequest {
    DiskOp op = DiskOp::flush;
    uint64_t offset = 0;                ///< bytes; read and write
    uint64_t length = 0;                ///< bytes; read and write: of all buffers
    std::span<const iovec> buffers;     ///< read and write
    std::span<const DiskRange> ranges;  ///< discard and write_zeroes
    bool durable = false;               ///< what it writes is to survive a power cut once complete
};

}  // namespace mote
