// A disk that changes while the guest runs: another file, another size, other limits.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "support/block_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kDiskSize = uint64_t{1} << 20U;

/// Every way that a request can take.
DiskEngineChoice any_engine() {
    return GENERATE(DiskEngineChoice::automatic, DiskEngineChoice::ring, DiskEngineChoice::pool);
}

BlockConfig disk(DiskEngineChoice engine = DiskEngineChoice::automatic) {
    return {
        .id = "disk0", .file = numbered_file(kDiskSize), .size_bytes = kDiskSize, .engine = engine};
}

/// A file of `size` bytes, all `fill`.
UniqueFd filled_file(uint64_t size, uint8_t fill) {
    UniqueFd file = numbered_file(0);
    const std::vector<char> bytes(size, static_cast<char>(fill));
    REQUIRE(::pwrite(file.get(), bytes.data(), size, 0) == static_cast<ssize_t>(size));
    return file;
}

Result<> update(BlockDriver& block, BlockUpdate change) {
    Result<> result;
    block.driver.worker().loop().post_and_wait([&] {
        result = block.device.update(std::move(change));
        block.driver.transport().device_config_changed();
    });
    return result;
}

}  // namespace

TEST_CASE("block: another file takes the place of the first, with its size, without a reset") {
    BlockDriver block(disk(any_engine()));
    uint64_t first = 0;
    std::memcpy(&first, block.read(8, 4096).data.data(), sizeof first);
    CHECK(first == word_at(4096));
    const uint64_t exits = block.driver.exits;
    REQUIRE(update(block,
                   {.backing = BlockBacking{.file = filled_file(8192, 0x77), .size_bytes = 8192}}));
    CHECK(block.driver.exits == exits);
    CHECK(block.driver.take_interrupt());
    CHECK(block.driver.read(mmio::kInterruptStatus) == 3);
    CHECK(block.driver.read64(mmio::kConfig) == 16);
    CHECK(all(block.read(8, 4096).data, 0x77));
    CHECK(block.read(16, 512).status == kBlockIoError);
    CHECK(block.write(0, 512, 0x11).status == kBlockOk);
    CHECK(block.flush().status == kBlockOk);
    CHECK(all(block.read(0, 512).data, 0x11));
}

TEST_CASE("block: a file that grew or shrank gets its new size") {
    BlockDriver block(disk());
    const uint64_t sectors = block.driver.read64(mmio::kConfig);
    REQUIRE(update(block, {.size_bytes = sectors * 256}));
    CHECK(block.driver.read64(mmio::kConfig) == sectors / 2);
    CHECK(block.read(sectors / 2, 512).status == kBlockIoError);
    REQUIRE(update(block, {.size_bytes = sectors * 512}));
    CHECK(block.read(sectors / 2, 512).status == kBlockOk);
}

TEST_CASE("block: files are replaced under load, and every request is answered once") {
    BlockDriver block(disk(any_engine()));
    for (unsigned round = 0; round < 20; ++round) {
        for (unsigned i = 0; i < 20; ++i)
            block.add(kBlockIn, 0, {}, 64 * 1024);
        block.send();
        REQUIRE(update(block, {.backing = BlockBacking{.file = filled_file(65536, 0x55),
                                                       .size_bytes = 65536}}));
        for (unsigned i = 0; i < 20; ++i)
            REQUIRE(block.wait().has_value());
    }
    CHECK(all(block.read(0, 4096).data, 0x55));
    REQUIRE(block.driver.transport().pause(std::chrono::seconds(10)));
    block.driver.transport().resume();
    CHECK(block.driver.reset());
}

TEST_CASE("block: limits come, change and go while the device runs") {
    BlockDriver block(disk());
    constexpr TokenBucketConfig kTwoAnHour{.size = 2, .refill_ms = 3'600'000};
    REQUIRE(update(block, {.limits = {.ops = kTwoAnHour}}));
    for (unsigned i = 0; i < 3; ++i)
        block.add(kBlockIn, 0, {}, 512);
    block.send();
    REQUIRE(block.wait());
    REQUIRE(block.wait());
    block.driver.worker().settle();
    CHECK(block.queue.used_index() == 2);
    // A fresh full bucket; what was held up does not wait for the next retry.
    REQUIRE(update(block, {.limits = {.ops = kTwoAnHour}}));
    REQUIRE(block.wait());
    // The other bucket's change leaves this one as it is.
    REQUIRE(update(block, {.limits = {.bytes = TokenBucketConfig{}}}));
    REQUIRE(block.read(0, 512).status == kBlockOk);
    block.add(kBlockIn, 0, {}, 512);
    block.send();
    block.driver.worker().settle();
    CHECK(block.queue.used_index() == 4);
    REQUIRE(update(block, {.limits = {.ops = TokenBucketConfig{}}}));
    REQUIRE(block.wait());
    for (unsigned i = 0; i < 10; ++i)
        REQUIRE(block.read(0, 512).status == kBlockOk);
}
