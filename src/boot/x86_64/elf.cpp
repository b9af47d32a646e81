#include "boot/x86_64/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "boot/bytes.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

// A kernel has four or five program headers and a few hundred bytes of notes.
constexpr uint16_t kMaxProgramHeaders = 64;
constexpr uint64_t kMaxNoteBytes = uint64_t{64} << 10U;
// XEN_ELFNOTE_PHYS32_ENTRY: a 32-bit physical address (Xen, public/elfnote.h).
constexpr uint32_t kPvhEntryNote = 18;
constexpr uint64_t kMiB = uint64_t{1} << 20U;

Result<Elf64_Ehdr> read_header(std::span<const std::byte> head) {
    Elf64_Ehdr header;
    if (head.size() < EI_NIDENT) return fail("is truncated within the ELF header; make it again");
    std::memcpy(header.e_ident, head.data(), EI_NIDENT);
    if (header.e_ident[EI_CLASS] != ELFCLASS64)
        return fail("is an ELF file, but not a 64-bit one; name an x86-64 vmlinux");
    if (header.e_ident[EI_DATA] != ELFDATA2LSB)
        return fail("is a big-endian ELF file; name an x86-64 vmlinux");
    if (head.size() < sizeof(header))
        return fail("is truncated within the ELF header; make or download it again");
    std::memcpy(&header, head.data(), sizeof(header));
    if (header.e_machine != EM_X86_64)
        return fail("is an ELF file for another machine (e_machine {}); name an x86-64 vmlinux",
                    header.e_machine);
    if (header.e_type != ET_EXEC)
        return fail(
            "is an ELF file, but not an executable at fixed addresses (e_type {}); name the "
            "kernel's vmlinux",
            header.e_type);
    if (header.e_phnum == 0 || header.e_phnum > kMaxProgramHeaders ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return fail("has {} ELF program headers of {} bytes, not 1 to {} of {}; make it again",
                    header.e_phnum, header.e_phentsize, kMaxProgramHeaders, sizeof(Elf64_Phdr));
    return header;
}

Result<std::vector<Elf64_Phdr>> read_program_headers(const ImageFile& file,
                                                     std::span<const std::byte> head,
                                                     const Elf64_Ehdr& header) {
    std::vector<Elf64_Phdr> segments(header.e_phnum);
    const std::span out = std::as_writable_bytes(std::span(segments));
    if (header.e_phoff <= head.size() && out.size() <= head.size() - header.e_phoff)
        std::memcpy(out.data(), head.data() + header.e_phoff, out.size());
    else
        TRY(file.read(header.e_phoff, out));
    return segments;
}

/// Checks one PT_LOAD against the file and the guest's memory; its end address.
Result<uint64_t> check_segment(const ImageFile& file, const Elf64_Phdr& segment, uint64_t ram_end) {
    uint64_t end = 0;
    if (segment.p_filesz > segment.p_memsz ||
        __builtin_add_overflow(segment.p_paddr, segment.p_memsz, &end))
        return fail(
            "has an ELF segment with impossible sizes ({:#x} bytes at {:#x}); make it again",
            segment.p_memsz, segment.p_paddr);
    if (!file.contains(segment.p_offset, segment.p_filesz))
        return fail(
            "is truncated: an ELF segment has {:#x} bytes at {:#x}, the file {:#x} in all; "
            "make or download it again",
            segment.p_filesz, segment.p_offset, file.size());
    if (segment.p_paddr < layout::kHighRam.value)
        return fail(
            "has an ELF segment at {:#x}, below 1 MiB where the boot data is; link it higher",
            segment.p_paddr);
    if (end > layout::kMmioHoleStart)
        return fail(
            "has an ELF segment up to {:#x}, above the last address for a kernel ({:#x}); "
            "link it lower",
            end, layout::kMmioHoleStart);
    if (end > ram_end)
        return fail("needs memory up to {} MiB, the guest has {} MiB; give it more",
                    (end + kMiB - 1) / kMiB, ram_end / kMiB);
    return end;
}

/// Finds the PVH entry in the notes of one PT_NOTE segment.
std::optional<uint64_t> find_pvh_entry(std::span<const std::byte> notes, uint64_t align) {
    const auto padded = [align](uint64_t size) { return (size + align - 1) / align * align; };
    uint64_t at = 0;
    // Each turn moves on by at least the 12 bytes of a note's header.
    while (const auto type = get<uint32_t>(notes, at + 8)) {
        const uint64_t name_size = get<uint32_t>(notes, at).value_or(0);
        const uint64_t value_size = get<uint32_t>(notes, at + 4).value_or(0);
        const uint64_t name_at = at + 12;
        const uint64_t value_at = at + padded(12 + name_size);
        const bool is_xen = name_size == 4 && get<uint32_t>(notes, name_at) == 0x006E'6558U;
        if (is_xen && *type == kPvhEntryNote) {
            if (value_size == 8) return get<uint64_t>(notes, value_at);
            if (value_size == 4) return get<uint32_t>(notes, value_at);
        }
        at = value_at + padded(value_size);
    }
    return std::nullopt;
}

Result<std::optional<uint64_t>> read_pvh_entry(const ImageFile& file,
                                               std::span<const Elf64_Phdr> segments) {
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_NOTE || segment.p_filesz == 0) continue;
        if (segment.p_filesz > kMaxNoteBytes)
            return fail("has {} bytes of ELF notes, more than {}; make it again", segment.p_filesz,
                        kMaxNoteBytes);
        Bytes notes(segment.p_filesz);
        TRY(file.read(segment.p_offset, notes));
        const auto entry = find_pvh_entry(notes, segment.p_align == 8 ? 8 : 4);
        if (entry) return entry;
    }
    return std::nullopt;
}

bool in_loaded_segment(std::span<const Elf64_Phdr> segments, uint64_t entry) {
    return std::ranges::any_of(segments, [entry](const Elf64_Phdr& segment) {
        return segment.p_type == PT_LOAD && entry >= segment.p_paddr &&
               entry - segment.p_paddr < segment.p_filesz;
    });
}

}  // namespace

bool is_elf(std::span<const std::byte> head) {
    return head.size() >= SELFMAG && std::memcmp(head.data(), ELFMAG, SELFMAG) == 0;
}

Result<LoadedKernel> load_elf(const GuestMemory& memory, const ImageFile& file,
                              std::span<const std::byte> head) {
    const Elf64_Ehdr header = TRY(read_header(head));
    const std::vector<Elf64_Phdr> segments = TRY(read_program_headers(file, head, header));
    const uint64_t ram_end = low_ram_end(memory);
    LoadedKernel kernel{.initrd_limit = {ram_end}};
    // All checks before the first byte is loaded: a bad image costs nothing.
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_LOAD || (segment.p_memsz | segment.p_filesz) == 0) continue;
        const uint64_t end = TRY(check_segment(file, segment, ram_end));
        kernel.end = std::max(kernel.end, GuestAddress{end});
    }
    const auto pvh = TRY(read_pvh_entry(file, segments));
    kernel.protocol = pvh ? BootProtocol::pvh : BootProtocol::linux64;
    kernel.entry = {pvh.value_or(header.e_entry)};
    if (!in_loaded_segment(segments, kernel.entry.value))
        return fail("has its {} entry at {:#x}, outside of what it loads; name a kernel's vmlinux",
                    pvh ? "PVH" : "64-bit", kernel.entry.value);
    for (const Elf64_Phdr& segment : segments)
        if (segment.p_type == PT_LOAD && segment.p_filesz != 0)
            TRY(file.load(memory, {segment.p_paddr}, segment.p_offset, segment.p_filesz));
    return kernel;
}

}  // namespace mote
