#include "base/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "base/unique_fd.h"
#include "unit/catch.h"

using mote::Mapping;
using mote::UniqueFd;

namespace {

constexpr size_t kPage = 4096;

bool is_mapped(const void* address) {
    // mincore(2) fails with ENOMEM where nothing is mapped.
    unsigned char resident = 0;
    return ::mincore(const_cast<void*>(address), kPage, &resident) == 0;
}

/// The size of this process's address space.
size_t mapped_pages() {
    const UniqueFd file(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    std::array<char, 32> text{};
    REQUIRE(::read(file.get(), text.data(), text.size() - 1) > 0);
    return std::strtoul(text.data(), nullptr, 10);
}

}  // namespace

TEST_CASE("Mapping: a shared file is padded with zeroes") {
    const UniqueFd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(::pwrite(file.get(), "abc", 3, kPage) == 3);
    constexpr size_t kSize = size_t{2} << 20U;
    {
        const Mapping mapping =
            Mapping::shared_file(file.get(), kPage + 3, false, kSize, kSize).value();
        CHECK(mapping.size() == kSize);
        CHECK(reinterpret_cast<uintptr_t>(mapping.data()) % kSize == 0);
        CHECK(mapping.data()[kPage + 1] == std::byte{'b'});
        CHECK(std::all_of(mapping.data() + kPage + 3, mapping.data() + kSize,
                          [](std::byte b) { return b == std::byte{}; }));
        mapping.data()[0] = std::byte{'x'};
        mapping.data()[kSize - 1] = std::byte{'y'};
    }
    char first = 0;
    CHECK(::pread(file.get(), &first, 1, 0) == 1);
    CHECK(first == 'x');
    const size_t before = mapped_pages();
    CHECK_FALSE(Mapping::shared_file(-1, kPage, true, kSize, kSize).has_value());
    CHECK(mapped_pages() == before);
}

TEST_CASE("Mapping: anonymous memory is zeroed and writable") {
    const Mapping mapping = Mapping::anonymous(3 * kPage).value();
    REQUIRE(mapping.size() == 3 * kPage);
    REQUIRE(mapping.bytes().size() == 3 * kPage);
    CHECK(
        std::ranges::all_of(mapping.bytes(), [](std::byte byte) { return byte == std::byte{0}; }));
    mapping.bytes().back() = std::byte{1};
    CHECK(mapping.data()[3 * kPage - 1] == std::byte{1});
}

TEST_CASE("Mapping: an alignment holds, and what surrounds it is not kept") {
    constexpr size_t kHuge = size_t{2} << 20U;
    const size_t before = mapped_pages();
    const Mapping mapping =
        Mapping::create(kPage, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, kHuge).value();
    CHECK(reinterpret_cast<uintptr_t>(mapping.data()) % kHuge == 0);
    CHECK(mapping.size() == kPage);
    CHECK(mapped_pages() == before + 1);
}

TEST_CASE("Mapping: a file's bytes, from an offset") {
    const UniqueFd file(::memfd_create("mapping", MFD_CLOEXEC));
    REQUIRE(::ftruncate(file.get(), 2 * kPage) == 0);
    REQUIRE(::pwrite(file.get(), "x", 1, kPage) == 1);
    const Mapping shared = Mapping::create(kPage, MAP_SHARED, file.get(), kPage, 0).value();
    CHECK(shared.data()[0] == std::byte{'x'});
    shared.data()[1] = std::byte{'y'};
    char read = 0;
    REQUIRE(::pread(file.get(), &read, 1, kPage + 1) == 1);
    CHECK(read == 'y');
}

TEST_CASE("Mapping: errors name the size and the reason") {
    const auto no_file = Mapping::create(kPage, MAP_SHARED, -1, 0, 0);
    REQUIRE_FALSE(no_file);
    CHECK(no_file.error().message == "cannot map 4096 bytes of address space: Bad file descriptor");
    CHECK(no_file.error().code == EBADF);
    CHECK_FALSE(Mapping::create(SIZE_MAX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, kPage));
    CHECK_FALSE(Mapping::anonymous(0));
}

TEST_CASE("Mapping: one owner, who unmaps") {
    const std::byte* address = nullptr;
    {
        Mapping first = Mapping::anonymous(kPage).value();
        address = first.data();
        Mapping second = std::move(first);
        CHECK(first.data() == nullptr);  // NOLINT(bugprone-use-after-move): what a move leaves
        CHECK(second.data() == address);
        Mapping third;
        third = std::move(second);
        CHECK(third.data() == address);
        CHECK(is_mapped(address));
    }
    CHECK_FALSE(is_mapped(address));
}
