#include "boot/x86_64/elf.h"

#include <limits>

#include "unit/boot/images.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Catch::Matchers::Contains;

TEST_CASE("ELF: segments go to their physical addresses, the 64-bit entry counts") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const auto kernel = load(memory, ElfImage().bytes());
    REQUIRE(kernel);
    CHECK(kernel->protocol == BootProtocol::linux64);
    CHECK(kernel->entry.value == ElfImage::kText + 0x123);
    CHECK(kernel->end.value == ElfImage::kData + 2 * kMiB);
    CHECK(kernel->initrd_limit.value == 64 * kMiB);
    CHECK(kernel->setup_header.empty());
    CHECK(memory.load<uint8_t>({ElfImage::kText}) == 0x11);
    CHECK(memory.load<uint8_t>({ElfImage::kText + 8191}) == 0x11);
    CHECK(memory.load<uint8_t>({ElfImage::kText + 8192}) == 0);
    CHECK(memory.load<uint8_t>({ElfImage::kData + 4095}) == 0x22);
    CHECK(memory.load<uint8_t>({ElfImage::kData + 4096}) == 0);
}

TEST_CASE("ELF: a PVH note names the entry, wherever it is among the notes") {
    const uint64_t entry = ElfImage::kText + 0x40;
    Bytes notes = note("GNU", 3, Bytes(20, std::byte{7}));
    append(notes, note("Xen", 19, Bytes(12)));
    append(notes, note("Linux", 18, Bytes(8)));
    append(notes, pvh_note(entry));
    const auto kernel = load(make_memory(64 * kMiB), ElfImage(notes).bytes());
    REQUIRE(kernel);
    CHECK(kernel->protocol == BootProtocol::pvh);
    CHECK(kernel->entry.value == entry);
}

TEST_CASE("ELF: a PVH note may hold 32 bits") {
    Bytes value;
    append(value, static_cast<uint32_t>(ElfImage::kText));
    const auto kernel = load(make_memory(64 * kMiB), ElfImage(note("Xen", 18, value)).bytes());
    REQUIRE(kernel);
    CHECK(kernel->protocol == BootProtocol::pvh);
    CHECK(kernel->entry.value == ElfImage::kText);
}

TEST_CASE("ELF: broken notes are no PVH notes, and end") {
    Bytes notes = pvh_note(ElfImage::kText);
    SECTION("name longer than the segment") {
        put(std::span(notes), 0, uint32_t{0xFFFF'FFFF});
    }
    SECTION("value longer than the segment") {
        put(std::span(notes), 4, uint32_t{0xFFFF'FFFF});
    }
    SECTION("value cut off") {
        notes.resize(notes.size() - 4);
    }
    SECTION("value of an odd size") {
        put(std::span(notes), 4, uint32_t{3});
    }
    SECTION("shorter than a header") {
        notes.resize(11);
    }
    SECTION("zeroes only") {
        notes.assign(60000, std::byte{0});
    }
    const auto kernel = load(make_memory(64 * kMiB), ElfImage(notes).bytes());
    REQUIRE(kernel);
    CHECK(kernel->protocol == BootProtocol::linux64);
}

TEST_CASE("ELF: program headers beyond the first 4 KiB are found") {
    ElfImage image;
    image.header.e_phoff = ElfImage::kContent + image.content.size();
    append(image.content, std::as_bytes(std::span(image.segments)));
    CHECK(load(make_memory(64 * kMiB), image.bytes()));
    image.content.resize(image.content.size() - 1);
    CHECK_THAT(load_error(image.bytes()), Contains("is truncated"));
    image.header.e_phoff = std::numeric_limits<uint64_t>::max() - 8;
    CHECK_THAT(load_error(image.bytes()), Contains("is truncated"));
}

TEST_CASE("ELF: files of another kind are told apart") {
    ElfImage image;
    SECTION("32-bit") {
        image.header.e_ident[EI_CLASS] = ELFCLASS32;
        CHECK_THAT(load_error(image.bytes()), Contains("not a 64-bit one"));
    }
    SECTION("big-endian") {
        image.header.e_ident[EI_DATA] = ELFDATA2MSB;
        CHECK_THAT(load_error(image.bytes()), Contains("big-endian"));
    }
    SECTION("arm64") {
        image.header.e_machine = EM_AARCH64;
        CHECK_THAT(load_error(image.bytes()), Contains("another machine (e_machine 183)"));
    }
    SECTION("a shared object") {
        image.header.e_type = ET_DYN;
        CHECK_THAT(load_error(image.bytes()), Contains("not an executable at fixed addresses"));
    }
    SECTION("cut within the header") {
        Bytes bytes = image.bytes();
        for (const size_t size : {4, 15, 16, 63}) {
            bytes.resize(static_cast<size_t>(size));
            CHECK(load_error(bytes) != "loaded");
            bytes = image.bytes();
        }
    }
}

TEST_CASE("ELF: the number of program headers is bounded") {
    ElfImage image;
    image.header.e_phnum = GENERATE(Elf64_Half{0}, Elf64_Half{65}, Elf64_Half{0xFFFF});
    CHECK_THAT(load_error(image.bytes()), Contains("ELF program headers"));
    image = ElfImage();
    image.header.e_phentsize = 32;
    CHECK_THAT(load_error(image.bytes()), Contains("ELF program headers"));
}

TEST_CASE("ELF: a hostile segment is refused before anything is loaded") {
    ElfImage image;
    Elf64_Phdr& segment = image.segments[1];
    std::string reason;
    SECTION("beyond the file") {
        segment.p_filesz = 4097;
        reason = "is truncated";
    }
    SECTION("offset near 2^64") {
        segment.p_offset = std::numeric_limits<uint64_t>::max() - 100;
        reason = "is truncated";
    }
    SECTION("less memory than file") {
        segment.p_memsz = 4095;
        reason = "impossible sizes";
    }
    SECTION("no memory, but bytes in the file") {
        segment.p_memsz = 0;
        reason = "impossible sizes";
    }
    SECTION("address plus size leaves 64 bits") {
        segment.p_paddr = std::numeric_limits<uint64_t>::max() - 4096;
        reason = "impossible sizes";
    }
    SECTION("over the boot data") {
        segment.p_paddr = layout::kCommandLine.value;
        reason = "below 1 MiB";
    }
    SECTION("over the register window") {
        segment.p_paddr = layout::kVirtioWindow.value - kMiB;
        reason = "above the last address";
    }
    SECTION("more memory than the guest has") {
        segment.p_memsz = 47 * kMiB;
        reason = "needs memory up to 65 MiB, the guest has 64 MiB";
    }
    const GuestMemory memory = make_memory(64 * kMiB);
    const auto kernel = load(memory, image.bytes());
    REQUIRE_FALSE(kernel);
    CHECK_THAT(kernel.error().message, Contains(reason));
    CHECK(memory.load<uint8_t>({ElfImage::kText}) == 0);
}

TEST_CASE("ELF: an entry outside of what is loaded is refused") {
    ElfImage image;
    image.header.e_entry = GENERATE(uint64_t{0}, ElfImage::kText - 1, ElfImage::kText + 8192,
                                    ElfImage::kData + 4096, uint64_t{0xFFFFFFFF81000000});
    CHECK_THAT(load_error(image.bytes()), Contains("64-bit entry"));
    CHECK_THAT(load_error(ElfImage(pvh_note(0x1000)).bytes()), Contains("PVH entry at 0x1000"));
}

TEST_CASE("ELF: too many bytes of notes are refused") {
    CHECK_THAT(load_error(ElfImage(Bytes(70000)).bytes()), Contains("bytes of ELF notes"));
}
