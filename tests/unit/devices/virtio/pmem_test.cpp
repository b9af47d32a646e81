#include "devices/virtio/pmem.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>

#include "support/block_driver.h"
#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kFileSize = 8192;
constexpr GuestAddress kStart{uint64_t{512} << 30U};
constexpr uint64_t kSize = uint64_t{2} << 20U;

std::unique_ptr<VirtioDevice> pmem(UniqueFd file, bool read_only = false, RateLimits limits = {}) {
    return PmemDevice::create({.id = "pmem0",
                               .file = std::move(file),
                               .file_bytes = kFileSize,
                               .start = kStart,
                               .size = kSize,
                               .read_only = read_only,
                               .limits = limits})
        .value();
}

/// A descriptor on which fdatasync fails: EINVAL.
UniqueFd file_that_fails() {
    int ends[2] = {};
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    ::close(ends[1]);
    return UniqueFd(ends[0]);
}

struct Setup {
    FakeRam ram;
    FakeDriver driver;
    FakeQueue queue{ram, 64};

    explicit Setup(std::unique_ptr<VirtioDevice> device) : driver(ram, std::move(device)) {
        REQUIRE(driver.start(queue));
    }
    AddedChain add(uint32_t type) {
        const le32 word = type;
        return queue.chain().readable(std::as_bytes(std::span(&word, 1))).writable(4, 0xEE).add();
    }
    uint32_t answer(const AddedChain& sent) {
        return ram.memory().load<le32>(sent.buffers.back()).value();
    }
    uint32_t request(uint32_t type) {
        const AddedChain sent = add(type);
        queue.publish();
        driver.kick();
        const auto used = FakeDriver::wait_used(queue);
        REQUIRE(used.has_value());
        CHECK(used->head == sent.head);
        CHECK(used->written == 4);
        return answer(sent);
    }
};

}  // namespace

TEST_CASE("pmem: tells where it lies, and flushes") {
    Setup setup(pmem(numbered_file(kFileSize)));
    CHECK(setup.driver.read(mmio::kDeviceId) == 27);
    CHECK(setup.driver.read64(mmio::kConfig) == kStart.value);
    CHECK(setup.driver.read64(mmio::kConfig + 8) == kSize);
    CHECK(setup.request(kPmemFlush) == kPmemDone);
}

TEST_CASE("pmem: a flush that fails, and an unknown request, are told; the device lives on") {
    Setup setup(pmem(file_that_fails()));
    CHECK(setup.request(kPmemFlush) == kPmemFailed);
    CHECK(setup.request(7) == kPmemFailed);
    CHECK(setup.request(kPmemFlush) == kPmemFailed);
    CHECK_FALSE(setup.driver.needs_reset());
}

TEST_CASE("pmem: nothing is to be flushed of a read-only file") {
    Setup setup(pmem(file_that_fails(), true));
    CHECK(setup.request(kPmemFlush) == kPmemDone);
}

TEST_CASE("pmem: flushes that come together are all answered") {
    Setup setup(pmem(numbered_file(kFileSize)));
    for (unsigned round = 0; round < 20; ++round) {
        std::vector<AddedChain> sent;
        for (unsigned i = 0; i < 32; ++i)
            sent.push_back(setup.add(kPmemFlush));
        setup.queue.publish();
        setup.driver.kick();
        for (unsigned i = 0; i < 32; ++i)
            REQUIRE(FakeDriver::wait_used(setup.queue).has_value());
        for (const AddedChain& chain : sent)
            CHECK(setup.answer(chain) == kPmemDone);
    }
}

TEST_CASE("pmem: a request without type or room for its answer costs the driver its device") {
    Setup setup(pmem(numbered_file(kFileSize)));
    SECTION("short type") {
        setup.queue.chain().readable("abc").writable(4).submit();
    }
    SECTION("no room") {
        setup.queue.chain().readable("four").writable(3).submit();
    }
    SECTION("nothing to read") {
        setup.queue.chain().writable(8).submit();
    }
    setup.driver.kick();
    REQUIRE(wait_until([&] { return setup.driver.needs_reset(); }));
    CHECK(setup.queue.used_index() == 0);

    FakeQueue fresh(setup.ram, 8);
    REQUIRE(setup.driver.start(fresh));
    const le32 flush = kPmemFlush;
    fresh.chain().readable(std::as_bytes(std::span(&flush, 1))).writable(4).submit();
    setup.driver.kick();
    CHECK(FakeDriver::wait_used(fresh).has_value());
}

TEST_CASE("pmem: a reset in the middle of flushes is done when none is under way") {
    Setup setup(pmem(numbered_file(kFileSize)));
    for (unsigned round = 0; round < 20; ++round) {
        FakeQueue queue(setup.ram, 16);
        REQUIRE(setup.driver.start(queue));
        const le32 flush = kPmemFlush;
        for (unsigned i = 0; i < 8; ++i)
            queue.chain().readable(std::as_bytes(std::span(&flush, 1))).writable(4).add();
        queue.publish();
        setup.driver.kick();
        REQUIRE(setup.driver.reset());
    }
    FakeQueue queue(setup.ram, 16);
    REQUIRE(setup.driver.start(queue));
}

TEST_CASE("pmem: a flush costs one operation and the file's bytes; it goes on after a pause") {
    const bool bytes = GENERATE(true, false);
    const RateLimits limits = bytes ? RateLimits{.bytes = {.size = kFileSize, .refill_ms = 200}}
                                    : RateLimits{.ops = {.size = 1, .refill_ms = 200}};
    Setup setup(pmem(numbered_file(kFileSize), false, limits));
    const auto began = std::chrono::steady_clock::now();
    CHECK(setup.request(kPmemFlush) == kPmemDone);
    setup.add(kPmemFlush);
    setup.queue.publish();
    setup.driver.kick();
    REQUIRE(setup.driver.transport().pause(std::chrono::seconds(5)));
    setup.driver.transport().resume();
    REQUIRE(FakeDriver::wait_used(setup.queue).has_value());
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(200));
}
