#include "boot/x86_64/cpu_start.h"

#include <array>
#include <vector>

#include "boot/bytes.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

// Intel SDM volume 3, 2.5 and 2.2.1.
constexpr uint64_t kCr0Pe = 1U << 0U;
constexpr uint64_t kCr0Et = 1U << 4U;
constexpr uint64_t kCr0Pg = 1U << 31U;
constexpr uint64_t kCr4Pae = 1U << 5U;
constexpr uint64_t kEferLme = 1U << 8U;
constexpr uint64_t kEferLma = 1U << 10U;
constexpr uint64_t kRflagsAlwaysSet = 1U << 1U;

// Segment attributes as SegmentValue has them.
constexpr uint16_t kCode32 = 0xC09B;   // G, D, present, code, readable, accessed
constexpr uint16_t kCode64 = 0xA09B;   // G, L, present, code, readable, accessed
constexpr uint16_t kData = 0xC093;     // G, B, present, data, writable, accessed
constexpr uint16_t kTssBusy = 0x008B;  // present, busy TSS (32- or 64-bit)

// Selectors: the Linux boot protocol wants __BOOT_CS and __BOOT_DS; PVH does not care.
constexpr uint16_t kCodeSelector = 0x10;
constexpr uint16_t kDataSelector = 0x18;
constexpr uint16_t kTssSelector = 0x20;
constexpr size_t kGdtEntries = 6;  // a 64-bit TSS descriptor takes two

constexpr uint64_t kPageSize = 0x1000;
constexpr uint64_t kGiB = uint64_t{1} << 30U;
constexpr uint64_t kTablePresent = 0x3;  // present, writable
constexpr uint64_t kLargePage = 0x83;    // present, writable, 2 MiB
constexpr uint64_t kLargePageSize = uint64_t{2} << 20U;
constexpr uint64_t kEntriesPerTable = 512;

/// The descriptor of a segment (Intel SDM volume 3, 3.4.5).
uint64_t descriptor(const SegmentValue& segment) {
    const bool in_pages = (segment.attributes & 0x8000U) != 0;
    const uint64_t limit = in_pages ? segment.limit >> 12U : segment.limit;
    return (limit & 0xFFFFU) | (segment.base & 0xFF'FFFFU) << 16U |
           uint64_t{segment.attributes} << 40U | (limit >> 16U & 0xFU) << 48U |
           (segment.base >> 24U & 0xFFU) << 56U;
}

bool write_gdt(const GuestMemory& memory, const CpuStart& start) {
    std::array<std::byte, kGdtEntries * 8> gdt{};
    for (const SegmentValue& segment : {start.code, start.data, start.tss})
        put(std::span(gdt), segment.selector, descriptor(segment));
    return memory.write(layout::kGdt, gdt);
}

/// Maps [0, end) to itself, rounded up to whole GiB, in 2 MiB pages (Intel SDM volume 3, 4.5).
bool write_page_tables(const GuestMemory& memory, uint64_t end) {
    const uint64_t directories = (end + kGiB - 1) / kGiB;
    const uint64_t root = layout::kPageTables.value;
    std::vector<std::byte> tables((2 + directories) * kPageSize);
    put(std::span(tables), 0, (root + kPageSize) | kTablePresent);
    for (uint64_t i = 0; i < directories; ++i)
        put(std::span(tables), kPageSize + 8 * i, (root + (2 + i) * kPageSize) | kTablePresent);
    for (uint64_t i = 0; i < directories * kEntriesPerTable; ++i)
        put(std::span(tables), 2 * kPageSize + 8 * i, i * kLargePageSize | kLargePage);
    return memory.write(layout::kPageTables, tables);
}
// Three directories map all of the RAM below the hole.
static_assert(layout::kPageTables.value + 5 * kPageSize <= layout::kCommandLine.value);
static_assert(layout::kMmioHoleStart <= 3 * kGiB);

}  // namespace

Result<CpuStart> make_cpu_start(const GuestMemory& memory, const LoadedKernel& kernel) {
    const bool is_long = kernel.protocol == BootProtocol::linux64;
    CpuStart start{
        .rip = kernel.entry.value,
        .rflags = kRflagsAlwaysSet,
        .cr0 = kCr0Pe | kCr0Et,
        .code = {.limit = 0xFFFF'FFFF, .selector = kCodeSelector, .attributes = kCode32},
        .data = {.limit = 0xFFFF'FFFF, .selector = kDataSelector, .attributes = kData},
        .tss = {.limit = 0x67, .selector = kTssSelector, .attributes = kTssBusy},
        .gdt_base = layout::kGdt.value,
        .gdt_limit = kGdtEntries * 8 - 1,
    };
    if (is_long) {
        start.code.attributes = kCode64;
        start.rsp = layout::kBootStack.value;
        start.rsi = layout::kZeroPage.value;
        start.cr0 |= kCr0Pg;
        start.cr3 = layout::kPageTables.value;
        start.cr4 = kCr4Pae;
        start.efer = kEferLme | kEferLma;
    } else {
        start.rbx = layout::kPvhStartInfo.value;
    }
    const bool written =
        write_gdt(memory, start) && (!is_long || write_page_tables(memory, kernel.end.value));
    if (!written) return fail("leaves no room for the boot data; give the guest more memory");
    return start;
}

}  // namespace mote
