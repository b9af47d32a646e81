// Persistent memory's wire format (virtio 1.2, 5.19).
#pragma once

#include <cstddef>

#include "base/endian.h"

namespace mote::virtio {

/// The configuration space (5.19.4): where the memory is in the guest's address space.
struct PmemConfigSpace {
    le64 start;  // 0
    le64 size;   // 8
};
static_assert(sizeof(PmemConfigSpace) == 16 && offsetof(PmemConfigSpace, size) == 8);

// A request is one le32, its type, and is answered by one le32 (5.19.6).
inline constexpr uint32_t kPmemFlush = 0;
inline constexpr uint32_t kPmemDone = 0;
inline constexpr uint32_t kPmemFailed = ~uint32_t{0};

}  // namespace mote::virtio
