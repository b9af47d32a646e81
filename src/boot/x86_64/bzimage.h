// bzImage: what distributions ship as vmlinuz, entered at its 64-bit entry point.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "boot/image_file.h"
#include "boot/kernel_image.h"
#include "memory/guest_memory.h"

namespace mote {

[[nodiscard]] bool is_bzimage(std::span<const std::byte> head);

/// Loads the protected-mode part (Linux Documentation/arch/x86/boot.rst). `head`: the file's first
/// bytes. Errors: protocol older than 2.12, no 64-bit entry, truncated, too little RAM for it to
/// unpack itself.
Result<LoadedKernel> load_bzimage(const GuestMemory& memory, const ImageFile& file,
                                  std::span<const std::byte> head);

}  // namespace mote
