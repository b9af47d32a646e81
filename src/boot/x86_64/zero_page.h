// The zero page: struct boot_params of the Linux x86 boot protocol.
#pragma once

#include <span>

#include "boot/kernel_image.h"
#include "boot/x86_64/boot_data.h"
#include "boot/x86_64/memory_map.h"
#include "memory/guest_memory.h"

namespace mote {

/// Writes the zero page at its place in the layout: the kernel's own setup header (a minimal one
/// for an ELF image), completed with where everything is.
void write_zero_page(const GuestMemory& memory, const LoadedKernel& kernel,
                     std::span<const MemoryMapEntry> map, const BootData& data);

}  // namespace mote
