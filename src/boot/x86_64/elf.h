// ELF vmlinux: by the PVH note where it has one, else by the 64-bit entry.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "boot/image_file.h"
#include "boot/kernel_image.h"
#include "memory/guest_memory.h"

namespace mote {

[[nodiscard]] bool is_elf(std::span<const std::byte> head);

/// Loads every PT_LOAD segment to its physical address. `head`: the file's first bytes.
/// Errors: another machine or class, relocatable, truncated, segments outside of low RAM above
/// 1 MiB, an entry outside of them.
Result<LoadedKernel> load_elf(const GuestMemory& memory, const ImageFile& file,
                              std::span<const std::byte> head);

}  // namespace mote
