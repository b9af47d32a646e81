#include "boot/x86_64/bzimage.h"

#include "unit/boot/images.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Catch::Matchers::Contains;

TEST_CASE("bzImage: a relocatable kernel is loaded where it wants to run") {
    const GuestMemory memory = make_memory(64 * kMiB);
    const auto kernel = load(memory, make_bzimage());
    REQUIRE(kernel);
    CHECK(kernel->protocol == BootProtocol::linux64);
    CHECK(kernel->entry.value == 16 * kMiB + 0x200);
    CHECK(kernel->end.value == 24 * kMiB);
    CHECK(kernel->initrd_limit.value == 64 * kMiB);
    CHECK(memory.load<uint8_t>({16 * kMiB}) == 0x33);
    CHECK(memory.load<uint8_t>({16 * kMiB + 65535}) == 0x33);
    CHECK(memory.load<uint8_t>({16 * kMiB + 65536}) == 0);
    // The header ends where the file says: 0x202 + 0x6A.
    CHECK(kernel->setup_header.size() == 0x26C - setup::kHeader);
}

TEST_CASE("bzImage: one that cannot be moved is loaded at 1 MiB") {
    Bytes image = make_bzimage();
    put(std::span(image), setup::kRelocatable, uint8_t{0});
    const GuestMemory memory = make_memory(64 * kMiB);
    const auto kernel = load(memory, image);
    REQUIRE(kernel);
    CHECK(kernel->entry.value == kMiB + 0x200);
    CHECK(kernel->end.value == 24 * kMiB);
    CHECK(memory.load<uint8_t>({kMiB}) == 0x33);
}

TEST_CASE("bzImage: the initrd's limit is the kernel's") {
    Bytes image = make_bzimage();
    put(std::span(image), setup::kInitrdAddressMax, uint32_t{32 * kMiB - 1});
    CHECK(load(make_memory(64 * kMiB), image)->initrd_limit.value == 32 * kMiB);
}

TEST_CASE("bzImage: memory for unpacking is checked") {
    CHECK(load(make_memory(24 * kMiB), make_bzimage()));
    CHECK_THAT(load_error(make_bzimage(), 24 * kMiB - 4096),
               Contains("needs memory up to 24 MiB to unpack itself, the guest has 23 MiB"));
    Bytes image = make_bzimage();
    put(std::span(image), setup::kInitSize, uint32_t{0xFFFF'FFFF});
    CHECK_THAT(load_error(image), Contains("give it more"));
    // Code larger than init_size must fit all the same.
    image = make_bzimage(2 * kMiB);
    put(std::span(image), setup::kInitSize, uint32_t{0});
    CHECK_THAT(load_error(image, 17 * kMiB), Contains("needs memory up to 18 MiB"));
}

TEST_CASE("bzImage: truncated files are told, up to 15 missing bytes are padding") {
    Bytes image = make_bzimage();
    const size_t full = image.size();
    image.resize(full - 15);
    CHECK(load(make_memory(64 * kMiB), image));
    image.resize(full - 16);
    CHECK_THAT(load_error(image), Contains("is truncated: a bzImage of 68096 bytes"));
    image.resize(0x208);
    CHECK(load_error(image) != "loaded");
    image = make_bzimage();
    put(std::span(image), setup::kSysSize, uint32_t{0xFFFF'FFFF});
    CHECK_THAT(load_error(image), Contains("is truncated"));
    put(std::span(image), setup::kSysSize, uint32_t{0});
    CHECK_THAT(load_error(image), Contains("is truncated"));
}

TEST_CASE("bzImage: kernels without a 64-bit entry are refused") {
    Bytes image = make_bzimage();
    put(std::span(image), setup::kXLoadFlags, uint16_t{0});
    CHECK_THAT(load_error(image), Contains("without a 64-bit entry"));
    put(std::span(image), setup::kVersion, uint16_t{0x020B});
    CHECK_THAT(load_error(image), Contains("boot protocol 2.11, older than 2.12"));
}

TEST_CASE("bzImage: code that ends before the entry is refused") {
    CHECK_THAT(load_error(make_bzimage(512)), Contains("ends before its 64-bit entry"));
    CHECK(load_error(make_bzimage(528)) == "loaded");
}

TEST_CASE("bzImage: hostile addresses and alignments are refused") {
    Bytes image = make_bzimage();
    SECTION("alignment 0") {
        put(std::span(image), setup::kKernelAlignment, uint32_t{0});
    }
    SECTION("alignment 3") {
        put(std::span(image), setup::kKernelAlignment, uint32_t{3});
    }
    SECTION("alignment 2^31") {
        put(std::span(image), setup::kKernelAlignment, uint32_t{1} << 31U);
    }
    SECTION("address in the hole") {
        put(std::span(image), setup::kPreferredAddress, layout::kMmioHoleStart);
    }
    SECTION("address near 2^64") {
        put(std::span(image), setup::kPreferredAddress, ~uint64_t{0});
    }
    CHECK_THAT(load_error(image), Contains("impossible address or alignment"));
}

TEST_CASE("bzImage: a header length beyond the header's place is cut") {
    Bytes image = make_bzimage();
    put(std::span(image), setup::kHeaderLength, uint8_t{0xFF});
    CHECK(load(make_memory(64 * kMiB), image)->setup_header.size() ==
          setup::kHeaderLimit - setup::kHeader);
}

TEST_CASE("kernel image: what is not one is named") {
    const auto error = [](std::initializer_list<unsigned> first) {
        Bytes bytes;
        for (const unsigned byte : first)
            append(bytes, static_cast<uint8_t>(byte));
        return load_error(bytes);
    };
    CHECK_THAT(error({0x1F, 0x8B, 8, 0}), Contains("begins with 1f 8b (gzip); unpack it first"));
    CHECK_THAT(error({0x28, 0xB5, 0x2F, 0xFD}), Contains("28 b5 2f fd (zstd)"));
    CHECK_THAT(error({0xFD, '7', 'z', 'X', 'Z', 0}), Contains("(xz)"));
    CHECK_THAT(error({1, 2, 3, 4, 5}), Contains("begins with 01 02 03 04, neither"));
    CHECK_THAT(error({0}), Contains("begins with 00, neither"));
    CHECK_THAT(load_error({}), Contains("is empty"));
}
