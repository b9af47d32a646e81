#include "boot/cmdline.h"

namespace mote {

std::string with_virtio_devices(std::string cmdline, std::span<const BootDevice> devices) {
    std::string entries;
    for (const BootDevice& device : devices)
        entries += fmt::format(" virtio_mmio.device={}K@{:#x}:{}", device.size / 1024,
                               device.address.value, device.gsi);
    // Words after " -- " belong to init. The separator may also begin or end the line.
    const size_t separator = (" " + cmdline + " ").find(" -- ");
    if (separator == std::string::npos) return cmdline + entries;
    if (separator != 0) return cmdline.insert(separator - 1, entries);
    return entries.empty() ? cmdline : entries.substr(1) + " " + cmdline;
}

}  // namespace mote
