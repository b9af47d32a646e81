// Builders of small kernel images for tests, good ones and bad ones.
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "boot/bytes.h"
#include "boot/image_file.h"
#include "boot/kernel_image.h"
#include "boot/x86_64/setup_header.h"
#include "memory/guest_memory.h"
#include "memory/layout.h"
#include "memory/x86_64/layout.h"

namespace mote::test {

inline constexpr uint64_t kMiB = uint64_t{1} << 20U;

inline GuestMemory make_memory(uint64_t size) {
    return GuestMemory::create(ram_regions(size)).value();
}

/// A file in memory with `content`.
inline UniqueFd make_file(std::span<const std::byte> content) {
    UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
    if (::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
        throw std::runtime_error("cannot write the test image");
    return fd;
}

inline Bytes note(std::string_view owner, uint32_t type, std::span<const std::byte> value) {
    Bytes out;
    append(out, static_cast<uint32_t>(owner.size() + 1));
    append(out, static_cast<uint32_t>(value.size()));
    append(out, type);
    append(out, owner);
    append(out, uint8_t{0});
    out.resize((out.size() + 3) / 4 * 4);
    append(out, value);
    out.resize((out.size() + 3) / 4 * 4);
    return out;
}

inline Bytes pvh_note(uint64_t entry) {
    Bytes value;
    append(value, entry);
    return note("Xen", 18, value);
}

/// An ELF vmlinux of two segments (text at 16 MiB, data with .bss behind it) and notes. Every part
/// may be spoilt before bytes() lays it out.
struct ElfImage {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> segments;
    Bytes content;  // what follows the program headers, from kContent
    static constexpr uint64_t kContent = 4096;
    static constexpr uint64_t kText = 16 * kMiB;
    static constexpr uint64_t kData = 18 * kMiB;

    explicit ElfImage(const Bytes& notes = {}) {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        header.e_type = ET_EXEC;
        header.e_machine = EM_X86_64;
        header.e_version = EV_CURRENT;
        header.e_entry = kText + 0x123;
        header.e_phoff = sizeof(Elf64_Ehdr);
        header.e_ehsize = sizeof(Elf64_Ehdr);
        header.e_phentsize = sizeof(Elf64_Phdr);
        content.resize(8192, std::byte{0x11});
        content.resize(12288, std::byte{0x22});
        segments.push_back({.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_X,
                            .p_offset = kContent,
                            .p_vaddr = 0xFFFFFFFF81000000,
                            .p_paddr = kText,
                            .p_filesz = 8192,
                            .p_memsz = 8192,
                            .p_align = 0x200000});
        segments.push_back({.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_W,
                            .p_offset = kContent + 8192,
                            .p_vaddr = 0xFFFFFFFF81200000,
                            .p_paddr = kData,
                            .p_filesz = 4096,
                            .p_memsz = 2 * kMiB,
                            .p_align = 0x200000});
        if (!notes.empty()) {
            segments.push_back({.p_type = PT_NOTE,
                                .p_flags = PF_R,
                                .p_offset = kContent + content.size(),
                                .p_vaddr = 0,
                                .p_paddr = 0,
                                .p_filesz = notes.size(),
                                .p_memsz = notes.size(),
                                .p_align = 4});
            append(content, notes);
        }
        header.e_phnum = static_cast<Elf64_Half>(segments.size());
    }

    [[nodiscard]] Bytes bytes() const {
        Bytes out;
        append(out, std::as_bytes(std::span(&header, 1)));
        append(out, std::as_bytes(std::span(segments)));
        out.resize(kContent);
        append(out, content);
        return out;
    }
};

/// A bzImage with `code_size` bytes of protected-mode code, all 0x33.
inline Bytes make_bzimage(uint32_t code_size = 64 * 1024) {
    constexpr size_t kSetup = 5 * 512;
    Bytes out(kSetup);
    const std::span bytes(out);
    put(bytes, setup::kSetupSectors, uint8_t{4});
    put(bytes, setup::kSysSize, code_size / 16);
    put(bytes, setup::kBootFlag, setup::kBootFlagValue);
    put(bytes, setup::kHeaderLength, uint8_t{0x6A});
    put(bytes, setup::kMagic, setup::kMagicValue);
    put(bytes, setup::kVersion, uint16_t{0x020F});
    put(bytes, setup::kLoadFlags, uint8_t{1});
    put(bytes, setup::kInitrdAddressMax, uint32_t{0x7FFF'FFFF});
    put(bytes, setup::kKernelAlignment, uint32_t{0x20'0000});
    put(bytes, setup::kRelocatable, uint8_t{1});
    put(bytes, setup::kXLoadFlags, uint16_t{3});
    put(bytes, setup::kPreferredAddress, uint64_t{16 * kMiB});
    put(bytes, setup::kInitSize, uint32_t{8 * kMiB});
    out.resize(kSetup + code_size, std::byte{0x33});
    return out;
}

inline Result<LoadedKernel> load(const GuestMemory& memory, const Bytes& image) {
    const UniqueFd fd = make_file(image);
    return load_kernel(memory, TRY(ImageFile::open(fd.get())));
}

/// The message of a failed load; what makes the test fail where it succeeded.
inline std::string load_error(const Bytes& image, uint64_t memory_size = 64 * kMiB) {
    const auto result = load(make_memory(memory_size), image);
    return result ? "loaded" : result.error().message;
}

}  // namespace mote::test
