// PVH: the start_info structure (Xen, public/arch-x86/hvm/start_info.h, version 1).
#pragma once

#include <span>

#include "boot/x86_64/boot_data.h"
#include "boot/x86_64/memory_map.h"
#include "memory/guest_memory.h"

namespace mote {

/// Writes start_info, its module list and memory map at their places in the layout.
void write_pvh_start_info(const GuestMemory& memory, std::span<const MemoryMapEntry> map,
                          const BootData& data);

}  // namespace mote
