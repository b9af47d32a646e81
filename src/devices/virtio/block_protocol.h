// The block device's wire format (virtio 1.2, 5.2).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

// Features (5.2.3).
inline constexpr uint64_t kBlockSizeMax = uint64_t{1} << 1U;
inline constexpr uint64_t kBlockSegMax = uint64_t{1} << 2U;
inline constexpr uint64_t kBlockReadOnly = uint64_t{1} << 5U;
inline constexpr uint64_t kBlockBlkSize = uint64_t{1} << 6U;
inline constexpr uint64_t kBlockFlush = uint64_t{1} << 9U;
inline constexpr uint64_t kBlockTopology = uint64_t{1} << 10U;
inline constexpr uint64_t kBlockDiscard = uint64_t{1} << 13U;
inline constexpr uint64_t kBlockWriteZeroes = uint64_t{1} << 14U;

/// The configuration space (5.2.4), up to what we offer.
struct BlockConfigSpace {
    le64 capacity;                   // 0: in sectors
    le32 size_max;                   // 8
    le32 seg_max;                    // 12
    le16 cylinders;                  // 16
    uint8_t heads;                   // 18
    uint8_t sectors;                 // 19
    le32 blk_size;                   // 20
    uint8_t physical_block_exp;      // 24
    uint8_t alignment_offset;        // 25
    le16 min_io_size;                // 26
    le32 opt_io_size;                // 28
    uint8_t writeback;               // 32
    uint8_t unused0;                 // 33
    le16 num_queues;                 // 34
    le32 max_discard_sectors;        // 36
    le32 max_discard_seg;            // 40
    le32 discard_sector_alignment;   // 44
    le32 max_write_zeroes_sectors;   // 48
    le32 max_write_zeroes_seg;       // 52
    uint8_t write_zeroes_may_unmap;  // 56
    uint8_t unused1[7];              // 57
};
static_assert(sizeof(BlockConfigSpace) == 64);
static_assert(offsetof(BlockConfigSpace, blk_size) == 20);
static_assert(offsetof(BlockConfigSpace, max_discard_sectors) == 36);
static_assert(offsetof(BlockConfigSpace, write_zeroes_may_unmap) == 56);

inline constexpr uint64_t kSectorSize = 512;

// Request types (5.2.6).
inline constexpr uint32_t kBlockIn = 0;
inline constexpr uint32_t kBlockOut = 1;
inline constexpr uint32_t kBlockFlushRequest = 4;
inline constexpr uint32_t kBlockGetId = 8;
inline constexpr uint32_t kBlockDiscardRequest = 11;
inline constexpr uint32_t kBlockWriteZeroesRequest = 13;

/// The start of each request.
struct BlockHeader {
    le32 type;      // 0
    le32 reserved;  // 4
    le64 sector;    // 8
};
static_assert(sizeof(BlockHeader) == 16);

/// One range of a discard or write-zeroes request.
struct BlockRange {
    le64 sector;   // 0
    le32 sectors;  // 8
    le32 flags;    // 12: bit 0 is unmap
};
static_assert(sizeof(BlockRange) == 16);
inline constexpr uint32_t kBlockUnmap = 1;

// Status, the last byte of each request.
inline constexpr uint8_t kBlockOk = 0;
inline constexpr uint8_t kBlockIoError = 1;
inline constexpr uint8_t kBlockUnsupported = 2;

inline constexpr size_t kBlockIdSize = 20;

}  // namespace mote::virtio
