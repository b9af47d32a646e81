// The kernel command line: a good default, and what the machine adds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "boot/boot.h"

namespace mote {

/// The device that holds the guest's root file system.
struct RootDevice {
    std::string_view path;  ///< in the guest
    bool read_only = false;
};

/// Which consoles the machine has.
struct ConsoleDevices {
    bool serial = false;
    bool virtio = false;
};

/// The command line of people's mode, to which the user's own words are appended (the last one
/// counts in Linux).
[[nodiscard]] std::string default_cmdline(const ConsoleDevices& consoles, bool acpi,
                                          std::optional<RootDevice> root = std::nullopt);

/// `cmdline` with a virtio_mmio.device entry for each device, in order, before a " -- " that ends
/// the kernel's own words.
[[nodiscard]] std::string with_virtio_devices(std::string cmdline,
                                              std::span<const BootDevice> devices);

/// Writes `cmdline` and its NUL where the layout has it.
/// Errors: too long, or it contains a NUL, which would cut it short unseen.
Result<> write_cmdline(const GuestMemory& memory, const std::string& cmdline);

}  // namespace mote
