#include "vmm/hotplug_region.h"

#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20U;
constexpr uint64_t kGiB = uint64_t{1} << 30U;
constexpr uint64_t kTiB = uint64_t{1} << 40U;

HotplugMemoryConfig total(uint64_t bytes) {
    return {.total_bytes = bytes};
}

}  // namespace

TEST_CASE("hotplug: the region lies above 512 GiB, behind RAM and pmems, at 2 GiB") {
    const RegionConfig alone = place_hotplug(40, 256 * kMiB, {}, total(kGiB)).value();
    CHECK(alone.base.value == 512 * kGiB);
    CHECK(alone.size == kGiB);
    CHECK(alone.block_size == 2 * kMiB);
    std::vector<PmemRegion> pmems(1);
    pmems[0].base = {512 * kGiB};
    pmems[0].mapping = Mapping::anonymous(2 * kMiB).value();
    CHECK(place_hotplug(40, 256 * kMiB, pmems, total(kGiB))->base.value == 514 * kGiB);
    CHECK(place_hotplug(46, 4 * kTiB, {}, total(kGiB))->base.value == 4 * kTiB + 2 * kGiB);
    // The largest blocks lie at a multiple of their size.
    const HotplugMemoryConfig large{
        .total_bytes = 1024 * kGiB, .block_bytes = 1024 * kGiB, .slot_bytes = 1024 * kGiB};
    CHECK(place_hotplug(46, 256 * kMiB, {}, large)->base.value == 1024 * kGiB);
}

TEST_CASE("hotplug: a region beyond the guest's addresses is refused") {
    CHECK(place_hotplug(40, 256 * kMiB, {}, total(512 * kGiB)).has_value());
    const auto error = place_hotplug(39, 256 * kMiB, {}, total(kGiB));
    REQUIRE_FALSE(error.has_value());
    CHECK(error.error().message ==
          "hotplug_memory: 1G at 0x8000000000 do not fit into the 39 bits that this host gives a "
          "guest's addresses; give the guest more memory from the start instead");
    CHECK_FALSE(place_hotplug(40, 256 * kMiB, {}, total(513 * kGiB)).has_value());
    CHECK_FALSE(place_hotplug(36, 256 * kMiB, {}, total(kGiB)).has_value());
}
