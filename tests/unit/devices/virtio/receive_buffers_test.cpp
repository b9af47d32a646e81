#include "devices/virtio/receive_buffers.h"

#include "support/fake_queue.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;

namespace {

struct Fixture {
    FakeRam ram;
    FakeQueue driver{ram, 16};
    unsigned broke = 0;
    std::unique_ptr<Queue> queue =
        Queue::create(driver.config(), ram.memory(),
                      virtio::kFeatureEventIndex | virtio::kFeatureIndirect,
                      [this](std::string_view) { ++broke; })
            .value();
    ~Fixture() { queue->close(); }
};

uint64_t total(std::span<const iovec> parts) {
    uint64_t sum = 0;
    for (const iovec& part : parts)
        sum += part.iov_len;
    return sum;
}

}  // namespace

TEST_CASE("ReceiveBuffers: takes no more chains than it was asked for") {
    Fixture f;
    ReceiveBuffers buffers(*f.queue, true);
    for (unsigned i = 0; i < 16; ++i)
        f.driver.chain().writable(100).add();
    f.driver.publish();
    buffers.gather(250);
    CHECK(buffers.room() == 300);
    CHECK(total(buffers.parts()) == 300);
    CHECK(f.queue->in_flight() == 3);
    buffers.gather(100000);
    CHECK(buffers.room() == 1600);
    f.queue->close();
}

TEST_CASE("ReceiveBuffers: goes round its ring without end") {
    Fixture f;
    const bool mergeable = GENERATE(true, false);
    ReceiveBuffers buffers(*f.queue, mergeable);
    for (unsigned round = 0; round < 5000; ++round) {
        while (f.driver.free_descriptors() >= 2)
            f.driver.chain().writable(20).writable(30).add();
        f.driver.publish();
        const uint64_t size = mergeable ? 12 + round % 380 : 12 + round % 39;
        buffers.gather(size);
        REQUIRE(buffers.room() >= size);
        REQUIRE(total(buffers.parts()) == buffers.room() + (mergeable ? 0 : 1));
        buffers.give(size);
        static_cast<void>(f.queue->publish());
        uint64_t written = 0;
        while (const auto used = f.driver.take_used())
            written += used->written;
        REQUIRE(written == size);
    }
    f.queue->close();
}

TEST_CASE("ReceiveBuffers: a broken queue gives no more") {
    Fixture f;
    ReceiveBuffers buffers(*f.queue, true);
    f.driver.chain().writable(50).add();
    f.driver.chain().writable(8).add();
    f.driver.publish();
    buffers.gather(1000);
    CHECK(f.broke == 1);
    CHECK(buffers.room() == 50);
}
