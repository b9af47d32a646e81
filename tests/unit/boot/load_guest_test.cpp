#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "boot/boot.h"
#include "boot/x86_64/cpu_start.h"
#include "boot/x86_64/memory_map.h"
#include "unit/boot/images.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Catch::Matchers::Contains;

namespace {

std::string text_at(const GuestMemory& memory, GuestAddress address) {
    const auto bytes = memory.window(address, layout::kCommandLineSize).value();
    return reinterpret_cast<const char*>(bytes.data());
}

}  // namespace

TEST_CASE("load_guest: a PVH kernel with an initrd finds everything from start_info") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const UniqueFd kernel = make_file(ElfImage(pvh_note(ElfImage::kText)).bytes());
    const UniqueFd initrd = make_file(Bytes(5000, std::byte{0x44}));
    const auto start = load_guest(
        memory, {.kernel_fd = kernel.get(), .initrd_fd = initrd.get(), .cmdline = "one two"});
    REQUIRE(start);
    CHECK(start->rip == ElfImage::kText);
    CHECK(start->rbx == layout::kPvhStartInfo.value);
    CHECK(start->cr0 == 0x11);
    CHECK(start->cr3 == 0);
    CHECK(start->efer == 0);
    CHECK(start->rflags == 2);
    CHECK((start->code.attributes & 0x4000U) != 0);  // 32-bit
    const GuestAddress info = layout::kPvhStartInfo;
    const auto u32 = [&](uint64_t at) { return memory.load<uint32_t>({at}).value(); };
    const auto u64 = [&](uint64_t at) { return memory.load<uint64_t>({at}).value(); };
    CHECK(u32(info.value) == 0x336EC578);
    CHECK(u32(info.value + 4) == 1);
    REQUIRE(u32(info.value + 12) == 1);
    const uint64_t module = u64(info.value + 16);
    CHECK(u64(module) == 64 * kMiB - 8192);
    CHECK(u64(module + 8) == 5000);
    CHECK(memory.load<uint8_t>({64 * kMiB - 8192}) == 0x44);
    CHECK(text_at(memory, {u64(info.value + 24)}) == "one two");
    CHECK(u64(info.value + 32) == layout::kRsdp.value);
    CHECK(u32(info.value + 48) == 3);
}

TEST_CASE("load_guest: a 64-bit kernel gets a zero page, long mode and identity paging") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const UniqueFd kernel = make_file(make_bzimage());
    const UniqueFd initrd = make_file(Bytes(4096, std::byte{0x44}));
    const auto start = load_guest(
        memory, {.kernel_fd = kernel.get(), .initrd_fd = initrd.get(), .cmdline = "one"});
    REQUIRE(start);
    CHECK(start->rip == 16 * kMiB + 0x200);
    CHECK(start->rsi == layout::kZeroPage.value);
    CHECK(start->cr0 == 0x8000'0011);
    CHECK(start->cr4 == 0x20);
    CHECK(start->efer == 0x500);
    CHECK((start->code.attributes & 0x6000U) == 0x2000);  // long, not 32-bit
    const uint64_t page = layout::kZeroPage.value;
    const auto u8 = [&](uint64_t at) { return memory.load<uint8_t>({page + at}).value(); };
    const auto u32 = [&](uint64_t at) { return memory.load<uint32_t>({page + at}).value(); };
    const auto u64 = [&](uint64_t at) { return memory.load<uint64_t>({at}).value(); };
    CHECK(u8(setup::kTypeOfLoader) == 0xFF);
    CHECK(u32(setup::kRamdiskImage) == 64 * kMiB - 4096);
    CHECK(u32(setup::kRamdiskSize) == 4096);
    CHECK(u32(setup::kCommandLine) == layout::kCommandLine.value);
    CHECK(u32(setup::kInitSize) == 8 * kMiB);  // the kernel's own header
    CHECK(u64(page + 0x70) == layout::kRsdp.value);
    CHECK(u8(0x1E8) == 3);
    // The walk of the entry's address: PML4, directory pointers, directory, 2 MiB page.
    const uint64_t pml4e = u64(start->cr3);
    const uint64_t pdpte = u64(pml4e & ~0xFFFU);
    const uint64_t pde = u64((pdpte & ~0xFFFU) + 8 * 8);
    CHECK(pde == (16 * kMiB | 0x83));
    // The descriptors that the selectors name.
    CHECK(u64(start->gdt_base + start->code.selector) == 0x00AF9B000000FFFF);
    CHECK(u64(start->gdt_base + start->data.selector) == 0x00CF93000000FFFF);
}

TEST_CASE("load_guest: an ELF kernel without a PVH note gets a setup header of ours") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const UniqueFd kernel = make_file(ElfImage().bytes());
    REQUIRE(load_guest(memory, {.kernel_fd = kernel.get()}));
    const uint64_t page = layout::kZeroPage.value;
    CHECK(memory.load<uint32_t>({page + 0x202}) == setup::kMagicValue);
    CHECK(memory.load<uint16_t>({page + 0x1FE}) == setup::kBootFlagValue);
}

TEST_CASE("load_guest: without ACPI there are an MP table and command line entries") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const UniqueFd kernel = make_file(ElfImage(pvh_note(ElfImage::kText)).bytes());
    const BootConfig config{.kernel_fd = kernel.get(),
                            .cmdline = "a -- b",
                            .virtio = {{.address = {0xC000'1000}, .size = 4096, .gsi = 5}},
                            .acpi = false};
    REQUIRE(load_guest(memory, config));
    CHECK(text_at(memory, layout::kCommandLine) == "a virtio_mmio.device=4K@0xc0001000:5 -- b");
    CHECK(memory.load<uint32_t>(layout::kMpTable) == 0x5F504D5F);
    CHECK(memory.load<uint64_t>({layout::kPvhStartInfo.value + 32}) == 0U);
    CHECK(memory.load<uint64_t>(layout::kRsdp) == 0U);
}

TEST_CASE("load_guest: the initrd never meets the kernel") {
    const GuestMemory memory = make_memory(32 * kMiB);
    const UniqueFd kernel = make_file(make_bzimage());
    const UniqueFd fits = make_file(Bytes(8 * kMiB));
    CHECK(load_guest(memory, {.kernel_fd = kernel.get(), .initrd_fd = fits.get()}));
    const UniqueFd too_large = make_file(Bytes(8 * kMiB + 1));
    const auto result =
        load_guest(memory, {.kernel_fd = kernel.get(), .initrd_fd = too_large.get()});
    REQUIRE_FALSE(result);
    CHECK_THAT(
        result.error().message,
        Contains("initrd: has 9 MiB, which do not fit between the kernel, up to 24 MiB, and 32"));
    const UniqueFd huge(::memfd_create("huge", MFD_CLOEXEC));
    REQUIRE(::ftruncate(huge.get(), off_t{1} << 40) == 0);
    CHECK_FALSE(load_guest(memory, {.kernel_fd = kernel.get(), .initrd_fd = huge.get()}));
}

TEST_CASE("load_guest: what is no usable file is named") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const UniqueFd good = make_file(make_bzimage());
    const auto kernel_error = [&](int fd) {
        return load_guest(memory, {.kernel_fd = fd, .kernel_name = "kernel: /k"}).error().message;
    };
    const UniqueFd folder(::open("/tmp", O_RDONLY | O_CLOEXEC));
    CHECK_THAT(kernel_error(folder.get()), Contains("kernel: /k is a directory"));
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK_THAT(kernel_error(null.get()), Contains("is not a regular file"));
    CHECK_THAT(kernel_error(-1), Contains("Bad file descriptor"));
    const UniqueFd write_only(::open("/tmp", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
    REQUIRE(::ftruncate(write_only.get(), 8192) == 0);
    CHECK_THAT(kernel_error(write_only.get()), Contains("cannot be read at 0"));
    const UniqueFd empty = make_file({});
    const auto result = load_guest(memory, {.kernel_fd = good.get(), .initrd_fd = empty.get()});
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().message, Contains("initrd: is empty"));
}

TEST_CASE("load_guest: a guest without memory worth the name is refused") {
    const UniqueFd kernel = make_file(make_bzimage());
    const auto result = load_guest(make_memory(kMiB), {.kernel_fd = kernel.get()});
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().message, Contains("guest memory: 1024 KiB are not enough"));
}

TEST_CASE("memory map: RAM around the system area and the hole, nothing else") {
    const auto small = make_memory_map(make_memory(64 * kMiB));
    REQUIRE(small.size() == 3);
    CHECK(small[0].size == 0x9FC00);
    CHECK(small[1].base.value == 0x9FC00);
    CHECK(small[1].type == MemoryMapEntry::kReserved);
    CHECK(small[2].base.value == kMiB);
    CHECK(small[2].size == 63 * kMiB);
    const auto large = make_memory_map(make_memory(5120 * kMiB));
    REQUIRE(large.size() == 4);
    CHECK(large[2].base.value + large[2].size == layout::kMmioHoleStart);
    CHECK(large[3].base.value == layout::kMmioHoleEnd);
    CHECK(large[3].size == 2048 * kMiB);
    std::vector<RegionConfig> regions = ram_regions(64 * kMiB);
    regions.push_back({.base = {64 * kMiB}, .size = 64 * kMiB, .block_size = 2 * kMiB});
    const GuestMemory later = GuestMemory::create(regions).value();
    later.hotplug_region()->blocks->set(0, 2 * kMiB, true);
    CHECK(make_memory_map(later).size() == 3);
}
