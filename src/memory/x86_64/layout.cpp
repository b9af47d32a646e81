#include "memory/layout.h"

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

}  // namespace mote
