// The memory device's wire format (virtio 1.2, 5.15).
#pragma once

#include <cstddef>

#include "base/endian.h"

namespace mote::virtio {

/// A driver that accepts it keeps away from memory that is not plugged (5.15.3).
inline constexpr uint64_t kMemoryUnpluggedInaccessible = uint64_t{1} << 1U;

/// The configuration space (5.15.4); sizes in bytes.
struct MemoryConfigSpace {
    le64 block_size;          // 0
    le16 node_id;             // 8, without meaning here
    le16 padding[3];          // 10
    le64 addr;                // 16
    le64 region_size;         // 24
    le64 usable_region_size;  // 32
    le64 plugged_size;        // 40
    le64 requested_size;      // 48
};
static_assert(sizeof(MemoryConfigSpace) == 56 && offsetof(MemoryConfigSpace, addr) == 16 &&
              offsetof(MemoryConfigSpace, requested_size) == 48);

/// A request (5.15.6).
struct MemoryRequest {
    le16 type;         // 0
    le16 padding[3];   // 2
    le64 addr;         // 8, of the first block
    le16 blocks;       // 16
    le16 padding2[3];  // 18
};
static_assert(sizeof(MemoryRequest) == 24 && offsetof(MemoryRequest, blocks) == 16);

inline constexpr uint16_t kMemoryPlug = 0;
inline constexpr uint16_t kMemoryUnplug = 1;
inline constexpr uint16_t kMemoryUnplugAll = 2;
inline constexpr uint16_t kMemoryState = 3;

/// Its answer.
struct MemoryResponse {
    le16 type;        // 0
    le16 padding[3];  // 2
    le16 state;       // 8, of kMemoryState
};
static_assert(sizeof(MemoryResponse) == 10 && offsetof(MemoryResponse, state) == 8);

inline constexpr uint16_t kMemoryAck = 0;
inline constexpr uint16_t kMemoryNack = 1;
inline constexpr uint16_t kMemoryBusy = 2;
inline constexpr uint16_t kMemoryError = 3;

inline constexpr uint16_t kMemoryPlugged = 0;
inline constexpr uint16_t kMemoryUnplugged = 1;
inline constexpr uint16_t kMemoryMixed = 2;

}  // namespace mote::virtio
