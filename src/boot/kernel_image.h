// load_kernel(): puts a Linux kernel image of any supported format into guest memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "boot/image_file.h"
#include "memory/guest_memory.h"

namespace mote {

/// How a loaded kernel wants to be entered.
enum class BootProtocol : uint8_t {
    pvh,      ///< 32-bit protected mode, %ebx = start_info (Xen's x86/HVM direct boot ABI)
    linux64,  ///< long mode, %rsi = zero page (Linux x86 boot protocol, 64-bit)
};

/// A kernel that lies in guest memory, ready to be entered.
struct LoadedKernel {
    BootProtocol protocol = BootProtocol::linux64;
    GuestAddress entry;
    /// One past the last byte that the kernel uses before it can read the memory map: its image,
    /// .bss, or what it needs to unpack itself. Nothing else may be put between 1 MiB and here.
    GuestAddress end;
    /// One past the last byte where the kernel can take an initrd.
    GuestAddress initrd_limit;
    /// A bzImage's setup header, as it is in the file from kSetupHeaderOffset; else empty.
    std::vector<std::byte> setup_header;
};

/// One image format. `head` is the file's beginning, up to 4 KiB.
struct KernelFormat {
    bool (*matches)(std::span<const std::byte> head);
    Result<LoadedKernel> (*load)(const GuestMemory& memory, const ImageFile& file,
                                 std::span<const std::byte> head);
};

/// The formats of the architecture. src/boot/ARCH/kernel_formats.cpp.
[[nodiscard]] std::span<const KernelFormat> kernel_formats();

/// Where low RAM ends: no image is put above, so that 32-bit entries can reach all of them.
[[nodiscard]] uint64_t low_ram_end(const GuestMemory& memory);

/// Detects the format by its magic and loads the image.
/// Errors: a message without the file's name: what is wrong and what to do about it.
Result<LoadedKernel> load_kernel(const GuestMemory& memory, const ImageFile& file);

}  // namespace mote
