#include "boot/x86_64/zero_page.h"

#include <algorithm>
#include <array>

#include "boot/bytes.h"
#include "boot/x86_64/setup_header.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

// Linux Documentation/arch/x86/zero-page.rst.
constexpr size_t kAcpiRsdp = 0x70;    // u64
constexpr size_t kMapCount = 0x1E8;   // u8
constexpr size_t kMap = 0x2D0;        // of kMapEntrySize each
constexpr size_t kMapEntrySize = 20;  // u64 base, u64 size, u32 type
constexpr size_t kMaxMapEntries = 128;

/// What the header of an ELF image, which has none, would say.
void put_elf_setup_header(std::span<std::byte> page) {
    put(page, setup::kBootFlag, setup::kBootFlagValue);
    put(page, setup::kMagic, setup::kMagicValue);
    put(page, setup::kVersion, setup::kVersion212);
    put(page, setup::kKernelAlignment, uint32_t{0x100'0000});
}

}  // namespace

void write_zero_page(const GuestMemory& memory, const LoadedKernel& kernel,
                     std::span<const MemoryMapEntry> map, const BootData& data) {
    std::array<std::byte, 4096> page{};
    if (kernel.setup_header.empty())
        put_elf_setup_header(page);
    else
        std::ranges::copy(kernel.setup_header, page.begin() + setup::kHeader);
    const auto flags = std::to_integer<uint8_t>(page[setup::kLoadFlags]);
    put(page, setup::kTypeOfLoader, setup::kUndefinedLoader);
    put(page, setup::kLoadFlags, static_cast<uint8_t>(flags | setup::kLoadedHigh));
    put(page, setup::kCommandLine, static_cast<uint32_t>(layout::kCommandLine.value));
    if (data.initrd) {
        put(page, setup::kRamdiskImage, static_cast<uint32_t>(data.initrd->base.value));
        put(page, setup::kRamdiskSize, static_cast<uint32_t>(data.initrd->size));
    }
    if (data.rsdp) put(page, kAcpiRsdp, data.rsdp->value);
    map = map.first(std::min(map.size(), kMaxMapEntries));
    put(page, kMapCount, static_cast<uint8_t>(map.size()));
    size_t at = kMap;
    for (const MemoryMapEntry& range : map) {
        put(page, at, range.base.value);
        put(page, at + 8, range.size);
        put(page, at + 16, range.type);
        at += kMapEntrySize;
    }
    memory.write(layout::kZeroPage, page);
}

}  // namespace mote
