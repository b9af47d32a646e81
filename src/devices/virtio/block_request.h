// BlockRequest: a request of the driver, checked against its disk.
#pragma once

#include <cstdint>
#include <vector>

#include "devices/virtio/block_protocol.h"
#include "devices/virtio/chain.h"
#include "devices/virtio/disk_request.h"

namespace mote {

/// What requests are checked against.
struct BlockLimits {
    uint64_t sectors = 0;
    bool read_only = false;
    uint32_t max_ranges = 0;  ///< of one discard or write-zeroes request
    uint32_t max_discard_sectors = 0;
    uint32_t max_write_zeroes_sectors = 0;
};

/// Reads the header and the ranges out of `chain`, whose status byte was taken away already, and
/// fills `request` (whose buffers are then the chain's, and whose ranges `ranges`). GET_ID is none
/// of its business: Kind::get_id.
struct ParsedBlockRequest {
    enum class Kind : uint8_t {
        disk,       ///< `request` is to be done
        get_id,     ///< the driver wants the disk's name
        refused,    ///< `status` says why
        malformed,  ///< no header
    };
    Kind kind = Kind::refused;
    uint8_t status = virtio::kBlockOk;
    DiskRequest request;
};

ParsedBlockRequest parse_block_request(Chain& chain, const BlockLimits& limits,
                                       std::vector<DiskRange>& ranges);

}  // namespace mote
