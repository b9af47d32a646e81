// The guest physical layout, as far as it is asked for without knowing the architecture.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/guest_memory.h"

namespace mote {

/// Where virtio-mmio devices are, and their interrupts.
struct VirtioLayout {
    GuestAddress window;      ///< one memory slot with a register page for each device
    uint64_t window_size;     ///< bytes
    GuestAddress first_page;  ///< of the first device; the next follow page by page
    uint32_t first_gsi;       ///< of the first device; the next follow one by one
    uint32_t max_devices;
};

inline constexpr uint64_t kVirtioPageSize = 0x1000;

/// The architecture's. src/memory/ARCH/layout.cpp.
[[nodiscard]] VirtioLayout virtio_layout();

/// The regions that `size` bytes of RAM take: around the holes that devices need.
[[nodiscard]] std::vector<RegionConfig> ram_regions(uint64_t size);

/// Where memory of devices (pmem) may begin, beside `ram_size` bytes of RAM.
[[nodiscard]] GuestAddress device_memory_start(uint64_t ram_size);

}  // namespace mote
