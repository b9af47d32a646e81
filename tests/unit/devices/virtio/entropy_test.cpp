#include "devices/virtio/entropy.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;

TEST_CASE("entropy: fills what the driver hands over") {
    FakeRam ram;
    FakeDriver driver(ram, EntropyDevice::create());
    FakeQueue queue(ram, 8);
    CHECK(driver.read(mmio::kDeviceId) == 4);
    REQUIRE(driver.start(queue));

    const AddedChain sent = queue.chain().writable(64).writable(64).submit();
    driver.kick();
    const auto used = FakeDriver::wait_used(queue);
    REQUIRE(used.has_value());
    CHECK(used->head == sent.head);
    CHECK(used->written == 128);
    // 64 zero bytes by chance: 2^-512.
    CHECK(std::ranges::any_of(ram.bytes(sent.buffers[0], 64),
                              [](auto b) { return b != std::byte{}; }));
    CHECK(std::ranges::any_of(ram.bytes(sent.buffers[1], 64),
                              [](auto b) { return b != std::byte{}; }));
    CHECK(ram.bytes(sent.buffers[0], 64) != ram.bytes(sent.buffers[1], 64));
}

TEST_CASE("entropy: a long request is answered in part") {
    FakeRam ram;
    FakeDriver driver(ram, EntropyDevice::create());
    FakeQueue queue(ram, 8);
    REQUIRE(driver.start(queue));
    const AddedChain sent = queue.chain().writable(3 * EntropyDevice::kMaxRequest, 0xEE).submit();
    driver.kick();
    CHECK(FakeDriver::wait_used(queue)->written == EntropyDevice::kMaxRequest);
    const auto rest = ram.bytes({sent.buffers[0].value + EntropyDevice::kMaxRequest},
                                2 * EntropyDevice::kMaxRequest);
    CHECK(std::ranges::all_of(rest, [](auto b) { return b == std::byte{0xEE}; }));
}

TEST_CASE("entropy: a full queue takes several turns and comes back whole") {
    FakeRam ram;
    FakeDriver driver(ram, EntropyDevice::create());
    FakeQueue queue(ram, 256);
    REQUIRE(driver.start(queue));
    for (unsigned i = 0; i < 256; ++i)
        queue.chain().writable(16).add();
    queue.publish();
    driver.kick();
    for (unsigned i = 0; i < 256; ++i)
        REQUIRE(FakeDriver::wait_used(queue).has_value());
    CHECK(queue.free_descriptors() == 256);
}

TEST_CASE("entropy: a request with nothing to fill, or something to read, needs a reset") {
    FakeRam ram;
    FakeDriver driver(ram, EntropyDevice::create());
    FakeQueue queue(ram, 8);
    REQUIRE(driver.start(queue));
    SECTION("only readable") {
        queue.chain().readable("x").submit();
    }
    SECTION("both") {
        queue.chain().readable("x").writable(8).submit();
    }
    driver.kick();
    REQUIRE(wait_until([&] { return driver.needs_reset(); }));
    CHECK(queue.used_index() == 0);

    // And after it, all is well.
    FakeQueue fresh(ram, 8);
    REQUIRE(driver.start(fresh));
    fresh.chain().writable(8).submit();
    driver.kick();
    CHECK(FakeDriver::wait_used(fresh)->written == 8);
}

TEST_CASE("entropy: limits hold requests back; it goes on by itself, but not while paused") {
    FakeRam ram;
    const auto began = std::chrono::steady_clock::now();
    FakeDriver driver(ram,
                      EntropyDevice::create(
                          Throttle::create({.bytes = {.size = 128, .refill_ms = 400}}).value()));
    FakeQueue queue(ram, 8);
    REQUIRE(driver.start(queue));
    for (unsigned i = 0; i < 4; ++i)
        queue.chain().writable(64).add();
    queue.publish();
    driver.kick();
    for (unsigned i = 0; i < 2; ++i)
        REQUIRE(FakeDriver::wait_used(queue).has_value());
    REQUIRE(driver.transport().pause(std::chrono::seconds(5)));
    const uint16_t done = queue.used_index();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    CHECK(queue.used_index() == done);
    driver.transport().resume();
    for (unsigned i = 2; i < 4; ++i)
        REQUIRE(FakeDriver::wait_used(queue).has_value());
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(400));
}
