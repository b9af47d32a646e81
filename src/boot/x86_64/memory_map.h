// The memory map that the guest is told, in the form both boot protocols use.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/guest_memory.h"

namespace mote {

/// One range of the map. `type` as in an E820 map (ACPI 6.5, 15.1; PVH uses the same numbers).
struct MemoryMapEntry {
    static constexpr uint32_t kRam = 1;
    static constexpr uint32_t kReserved = 2;

    GuestAddress base;
    uint64_t size = 0;
    uint32_t type = kRam;
};

/// RAM without the system area (MP or ACPI tables), which is reserved. Devices in the hole are not
/// listed: what is in no entry is no RAM.
[[nodiscard]] std::vector<MemoryMapEntry> make_memory_map(const GuestMemory& memory);

}  // namespace mote
