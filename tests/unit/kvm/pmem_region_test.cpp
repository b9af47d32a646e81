#include "vmm/pmem_region.h"

#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20U;
constexpr uint64_t kGiB = uint64_t{1} << 30U;
constexpr uint64_t kTiB = uint64_t{1} << 40U;

std::vector<PmemResource> files(std::initializer_list<uint64_t> sizes) {
    std::vector<PmemResource> pmems;
    for (const uint64_t size : sizes) {
        pmems.emplace_back();
        pmems.back().id = fmt::format("pmem{}", pmems.size() - 1);
        pmems.back().size_bytes = size;
    }
    return pmems;
}

}  // namespace

TEST_CASE("pmem: files lie above 512 GiB and behind RAM, in units of 2 MiB") {
    const auto low = place_pmems(40, 256 * kMiB, files({512, 3 * kMiB, 2 * kMiB})).value();
    REQUIRE(low.size() == 3);
    CHECK(low[0].base.value == 512 * kGiB);
    CHECK(low[0].size == 2 * kMiB);
    CHECK(low[1].base.value == 512 * kGiB + 2 * kMiB);
    CHECK(low[1].size == 4 * kMiB);
    CHECK(low[2].base.value == 512 * kGiB + 6 * kMiB);
    CHECK(place_pmems(46, 4 * kTiB, files({512}))->front().base.value == 4 * kTiB + kGiB);
    // The end of RAM is no multiple of 2 MiB.
    CHECK(place_pmems(46, 4 * kTiB - 4096, files({512}))->front().base.value == 4 * kTiB + kGiB);
}

TEST_CASE("pmem: a file beyond the guest's addresses is refused") {
    CHECK(place_pmems(40, 256 * kMiB, files({512 * kGiB})).has_value());
    const auto too_far = place_pmems(40, 256 * kMiB, files({512 * kGiB, 1}));
    REQUIRE_FALSE(too_far.has_value());
    CHECK(
        too_far.error().message ==
        "pmem1: 2097152 bytes at 0x10000000000 do not fit into the 40 bits that this host gives a "
        "guest's addresses; give a smaller file, or use it as a disk");
    CHECK_FALSE(place_pmems(39, 256 * kMiB, files({1})).has_value());
    CHECK_FALSE(place_pmems(52, 256 * kMiB, files({4 * kTiB + 1})).has_value());
    CHECK_FALSE(place_pmems(52, 256 * kMiB, files({~uint64_t{0}})).has_value());
}
