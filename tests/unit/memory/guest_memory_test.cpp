#include "memory/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "memory/layout.h"
#include "memory/x86_64/layout.h"
#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint64_t kPage = 4096;

GuestMemory two_adjacent_regions() {
    const std::vector<RegionConfig> configs{{.base = {0}, .size = kPage},
                                            {.base = {kPage}, .size = kPage},
                                            {.base = {4 * kPage}, .size = kPage}};
    return GuestMemory::create(configs).value();
}

}  // namespace

TEST_CASE("GuestMemory: an access lies wholly in RAM or does not happen") {
    const GuestMemory memory = two_adjacent_regions();
    CHECK(memory.size() == 3 * kPage);
    CHECK(memory.contains({0}, 2 * kPage));
    CHECK_FALSE(memory.contains({0}, 2 * kPage + 1));
    CHECK_FALSE(memory.contains({3 * kPage}, 1));
    CHECK_FALSE(memory.contains({5 * kPage - 1}, 2));
    CHECK_FALSE(memory.contains({~uint64_t{0}}, 2));
    CHECK_FALSE(memory.load<uint64_t>({2 * kPage - 4}).has_value());
    CHECK_FALSE(memory.store<uint64_t>({2 * kPage - 4}, 1));
    CHECK(memory.load<uint32_t>({2 * kPage - 4}) == 0U);
    CHECK_FALSE(memory.load<uint64_t>({~uint64_t{0} - 3}).has_value());
}

TEST_CASE("GuestMemory: accesses and iovecs cross adjacent regions") {
    const GuestMemory memory = two_adjacent_regions();
    CHECK(memory.store<uint64_t>({kPage - 4}, 0x1122334455667788));
    CHECK(memory.load<uint64_t>({kPage - 4}) == 0x1122334455667788U);
    CHECK(memory.load<uint32_t>({kPage}) == 0x11223344U);
    CHECK_FALSE(memory.window({kPage - 4}, 8).has_value());
    std::vector<iovec> parts;
    REQUIRE(memory.append_iovecs({kPage - 4}, 12, parts));
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].iov_len == 4);
    CHECK(parts[1].iov_len == 8);
    CHECK_FALSE(memory.append_iovecs({2 * kPage - 4}, 8, parts));
    CHECK(parts.size() == 2);
}

TEST_CASE("GuestMemory: ring indices are aligned and in RAM") {
    const GuestMemory memory = two_adjacent_regions();
    CHECK_FALSE(memory.ring_index({1}).has_value());
    CHECK_FALSE(memory.ring_index({2 * kPage}).has_value());
    const auto index = memory.ring_index({2});
    REQUIRE(index.has_value());
    index->store(7, std::memory_order_release);
    CHECK(memory.load<uint16_t>({2}) == 7);
}

TEST_CASE("GuestMemory: discarding zeroes whole pages only, whatever the backing") {
    const auto backing = GENERATE(Backing::anonymous, Backing::shared_memfd, Backing::private_file);
    const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    REQUIRE(::ftruncate(fd.get(), 4 * kPage) == 0);
    const std::vector<RegionConfig> configs{
        {.base = {0}, .size = 4 * kPage, .backing = backing, .fd = fd.get()}};
    const GuestMemory memory = GuestMemory::create(configs).value();
    for (uint64_t page = 0; page < 4; ++page)
        memory.store<uint8_t>({page * kPage}, 1);
    REQUIRE(memory.discard({1}, 3 * kPage));
    CHECK(memory.load<uint8_t>({0}) == 1);
    CHECK(memory.load<uint8_t>({kPage}) == 0);
    CHECK(memory.load<uint8_t>({2 * kPage}) == 0);
    CHECK(memory.load<uint8_t>({3 * kPage}) == 1);
    CHECK_FALSE(memory.discard({3 * kPage}, 2 * kPage));
}

TEST_CASE("GuestMemory: what is shared lies in one sealed memfd, and discarding frees it there") {
    std::vector<RegionConfig> configs{{.base = {0}, .size = 4 * kPage},
                                      {.base = {16 * kPage}, .size = 4 * kPage}};
    const UniqueFd file = share_in_memfd(configs).value();
    CHECK((configs[0].offset == 0 && configs[1].offset == 4 * kPage));
    CHECK((configs[0].fd == file.get() && configs[1].fd == file.get()));
    const GuestMemory memory = GuestMemory::create(configs).value();
    const auto in_use = [&] {
        struct stat status{};
        REQUIRE(::fstat(file.get(), &status) == 0);
        CHECK(status.st_size == 8 * kPage);
        return static_cast<uint64_t>(status.st_blocks) * 512;
    };
    CHECK(in_use() == 0);
    for (uint64_t page = 0; page < 4; ++page) {
        memory.store<uint64_t>({page * kPage}, page + 1);
        memory.store<uint64_t>({(16 + page) * kPage}, page + 11);
    }
    CHECK(in_use() == 8 * kPage);
    // Who else has the file sees each region at its place.
    uint64_t seen = 0;
    REQUIRE(::pread(file.get(), &seen, sizeof seen, 5 * kPage) == sizeof seen);
    CHECK(seen == 12);
    REQUIRE(memory.discard({17 * kPage}, 2 * kPage));
    CHECK(in_use() == 6 * kPage);
    CHECK(memory.load<uint64_t>({17 * kPage}) == 0U);
    CHECK(memory.load<uint64_t>({19 * kPage}) == 14U);
    CHECK(::ftruncate(file.get(), kPage) != 0);
    CHECK(::ftruncate(file.get(), 9 * kPage) != 0);
    CHECK(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE) != 0);
}

TEST_CASE("GuestMemory: regions that overlap, are empty or misaligned are refused") {
    const std::vector<RegionConfig> overlapping{{.base = {0}, .size = 2 * kPage},
                                                {.base = {kPage}, .size = kPage}};
    CHECK_FALSE(GuestMemory::create(overlapping));
    const std::vector<RegionConfig> empty{{.base = {0}, .size = 0}};
    CHECK_FALSE(GuestMemory::create(empty));
    const std::vector<RegionConfig> odd{{.base = {0}, .size = kPage + 1}};
    CHECK_FALSE(GuestMemory::create(odd));
}

TEST_CASE("layout: RAM above the hole starts at 4 GiB") {
    const auto small = ram_regions(layout::kMmioHoleStart);
    REQUIRE(small.size() == 1);
    const auto large = ram_regions(uint64_t{5} << 30U);
    REQUIRE(large.size() == 2);
    CHECK(large[1].base.value == uint64_t{4} << 30U);
    CHECK(large[0].size + large[1].size == uint64_t{5} << 30U);
}
