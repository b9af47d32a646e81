#include "memory/plugged_blocks.h"

#include <thread>

#include "memory/guest_memory.h"
#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBlock = 4 * kPage;
constexpr uint64_t kBase = uint64_t{1} << 30U;

}  // namespace

TEST_CASE("PluggedBlocks: blocks are set and counted across the words that hold them") {
    PluggedBlocks blocks(200 * kBlock, kBlock);
    CHECK(blocks.block_size() == kBlock);
    CHECK(blocks.bytes() == 0);
    CHECK_FALSE(blocks.contain(0, 1));
    blocks.set(60 * kBlock, 70 * kBlock, true);
    CHECK(blocks.bytes() == 70 * kBlock);
    CHECK(blocks.bytes_in(0, 200 * kBlock) == 70 * kBlock);
    CHECK(blocks.bytes_in(0, 60 * kBlock) == 0);
    CHECK(blocks.bytes_in(63 * kBlock, 2 * kBlock) == 2 * kBlock);
    CHECK(blocks.bytes_in(129 * kBlock, 2 * kBlock) == kBlock);
    CHECK(blocks.contain(60 * kBlock, 70 * kBlock));
    CHECK_FALSE(blocks.contain(60 * kBlock - 1, 1));
    CHECK_FALSE(blocks.contain(60 * kBlock - 1, 2));
    CHECK(blocks.contain(130 * kBlock - 1, 1));
    CHECK_FALSE(blocks.contain(130 * kBlock - 1, 2));
    CHECK(blocks.contain(130 * kBlock, 0));
    blocks.set(64 * kBlock, 64 * kBlock, false);
    CHECK(blocks.bytes() == 6 * kBlock);
    CHECK_FALSE(blocks.contain(60 * kBlock, 70 * kBlock));
    // What is so already stays so, and is not counted twice.
    blocks.set(0, 200 * kBlock, true);
    blocks.set(0, 200 * kBlock, true);
    CHECK(blocks.bytes() == 200 * kBlock);
    CHECK(blocks.contain(0, 200 * kBlock));
    blocks.set(199 * kBlock, kBlock, false);
    CHECK(blocks.contain(0, 199 * kBlock));
    CHECK_FALSE(blocks.contain(0, 200 * kBlock));
    blocks.set(0, 200 * kBlock, false);
    CHECK(blocks.bytes() == 0);
}

TEST_CASE("PluggedBlocks: one block is enough for a region") {
    PluggedBlocks blocks(kBlock, kBlock);
    blocks.set(0, kBlock, true);
    CHECK(blocks.contain(kBlock - 1, 1));
    CHECK(blocks.bytes() == kBlock);
}

TEST_CASE("GuestMemory: what is not plugged is not RAM") {
    const std::vector<RegionConfig> configs{
        {.base = {kBase - kBlock}, .size = kBlock},
        {.base = {kBase}, .size = 8 * kBlock, .block_size = kBlock}};
    const GuestMemory memory = GuestMemory::create(configs).value();
    const GuestMemory::Region* const region = memory.hotplug_region();
    REQUIRE(region != nullptr);
    CHECK(region->config.base.value == kBase);
    CHECK(memory.size() == kBlock);
    CHECK_FALSE(memory.contains({kBase}, 1));
    CHECK_FALSE(memory.store<uint8_t>({kBase}, 1));
    CHECK_FALSE(memory.load<uint16_t>({kBase - 1}).has_value());
    CHECK_FALSE(memory.ring_index({kBase}).has_value());
    CHECK_FALSE(memory.discard({kBase}, kPage));

    region->blocks->set(0, 2 * kBlock, true);
    CHECK(memory.size() == 3 * kBlock);
    CHECK(memory.contains({kBase - kBlock}, 3 * kBlock));
    CHECK_FALSE(memory.contains({kBase - kBlock}, 3 * kBlock + 1));
    CHECK(memory.store<uint16_t>({kBase - 1}, 0x1234));
    CHECK(memory.load<uint16_t>({kBase - 1}) == 0x1234);
    CHECK(memory.store<uint8_t>({kBase + 2 * kBlock - 1}, 1));
    CHECK_FALSE(memory.store<uint16_t>({kBase + 2 * kBlock - 1}, 1));
    CHECK(memory.window({kBase}, 2 * kBlock).has_value());
    CHECK_FALSE(memory.window({kBase}, 2 * kBlock + 1).has_value());
    std::vector<iovec> parts;
    CHECK(memory.append_iovecs({kBase - 1}, 2 * kBlock, parts));
    CHECK(parts.size() == 2);
    CHECK_FALSE(memory.append_iovecs({kBase}, 3 * kBlock, parts));
    CHECK(parts.size() == 2);
    CHECK(memory.discard({kBase}, kBlock));

    region->blocks->set(0, kBlock, false);
    CHECK_FALSE(memory.load<uint8_t>({kBase}).has_value());
    CHECK(memory.load<uint8_t>({kBase + 2 * kBlock - 1}) == 1);
    // By its host address a block can be discarded when no device reaches it any more.
    CHECK(memory.discard(region->mapping.bytes().first(kBlock)));
}

TEST_CASE("GuestMemory: blocks have a size that goes into the region and its place") {
    const auto created = [](const RegionConfig& config) {
        return GuestMemory::create(std::span(&config, 1)).has_value();
    };
    CHECK(created({.base = {kBlock}, .size = 3 * kBlock, .block_size = kBlock}));
    CHECK_FALSE(created({.base = {kPage}, .size = 4 * kBlock, .block_size = kBlock}));
    CHECK_FALSE(created({.base = {0}, .size = kBlock + kPage, .block_size = kBlock}));
    CHECK_FALSE(created({.base = {0}, .size = 3 * kPage, .block_size = 3 * kPage}));
    CHECK_FALSE(created({.base = {0}, .size = kPage, .block_size = 64}));
    const RegionConfig plain{.base = {0}, .size = kPage};
    CHECK(GuestMemory::create(std::span(&plain, 1))->hotplug_region() == nullptr);
}

TEST_CASE("GuestMemory: blocks come and go under threads that read and write them") {
    const RegionConfig config{.base = {kBase}, .size = 8 * kBlock, .block_size = kBlock};
    const GuestMemory memory = GuestMemory::create(std::span(&config, 1)).value();
    PluggedBlocks& blocks = *memory.hotplug_region()->blocks;
    blocks.set(0, kBlock, true);
    std::atomic<bool> stop = false;
    std::atomic<unsigned> lost = 0;
    const auto use = [&](uint64_t offset) {
        while (!stop) {
            if (!memory.contains({kBase + offset}, 8)) ++lost;
            static_cast<void>(memory.contains({kBase}, 8 * kBlock));
            static_cast<void>(memory.size());
        }
    };
    std::thread first(use, 0);
    std::thread second(use, 16);
    for (unsigned round = 0; round < 2000; ++round) {
        blocks.set(kBlock, 7 * kBlock, true);
        blocks.set(kBlock, 7 * kBlock, false);
    }
    stop = true;
    first.join();
    second.join();
    CHECK(lost == 0);
    CHECK(blocks.bytes() == kBlock);
}
