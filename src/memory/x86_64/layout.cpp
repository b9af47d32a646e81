#include "memory/layout.h"

#include <algorithm>

#include "memory/x86_64/layout.h"

namespace mote {

VirtioLayout virtio_layout() {
    return {.window = layout::kVirtioWindow,
            .window_size = layout::kVirtioWindowSize,
            .first_page = {layout::kVirtioWindow.value + kVirtioPageSize},
            .first_gsi = layout::kVirtioFirstGsi,
            .max_devices = layout::kMaxVirtioDevices};
}

std::vector<RegionConfig> ram_regions(uint64_t size) {
    if (size <= layout::kMmioHoleStart) return {{.base = {0}, .size = size}};
    return {{.base = {0}, .size = layout::kMmioHoleStart},
            {.base = {layout::kMmioHoleEnd}, .size = size - layout::kMmioHoleStart}};
}

GuestAddress device_memory_start(uint64_t ram_size) {
    const RegionConfig last = ram_regions(ram_size).back();
    return {std::max(layout::kDeviceMemory, last.base.value + last.size)};
}

}  // namespace mote
