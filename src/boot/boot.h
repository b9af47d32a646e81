// load_guest(): everything that must be in guest memory before the first instruction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote {

struct CpuStart;  // boot/ARCH/cpu_start.h

/// A virtio-mmio device as the guest is to find it.
struct BootDevice {
    GuestAddress address;  ///< of its register page
    uint64_t size = 0;     ///< bytes
    uint32_t gsi = 0;
};

struct BootConfig {
    int kernel_fd = -1;   ///< stays the caller's; its position does not move
    int initrd_fd = -1;   ///< -1: none
    std::string cmdline;  ///< complete, but for the virtio_mmio.device entries
    uint32_t cpus = 1;
    std::vector<BootDevice> virtio;
    bool acpi = true;     ///< ACPI tables; without them an MP table and command line entries
    bool serial = true;   ///< COM1 is there
    bool pvpanic = true;  ///< the pvpanic port is there
    // What messages begin with; a caller that knows the paths puts them in.
    std::string kernel_name = "kernel:";
    std::string initrd_name = "initrd:";
};

/// Loads kernel, initrd, command line and tables, and returns the register values that the boot CPU
/// starts with. Called once, before any vCPU runs, on memory that still reads as zero.
/// Errors: one line each: what is wrong with an image (it is hostile until proven otherwise), too
/// little RAM, a command line too long, or what read(2) said.
Result<CpuStart> load_guest(const GuestMemory& memory, const BootConfig& config);

}  // namespace mote
