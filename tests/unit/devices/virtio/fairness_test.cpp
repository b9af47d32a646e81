// Devices that share a worker: one that always has work does not keep the others from theirs.
#include <atomic>
#include <thread>

#include "devices/virtio/console.h"
#include "devices/virtio/entropy.h"
#include "support/block_driver.h"
#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

class Nowhere final : public ConsoleOutput {
  public:
    void write(std::span<const std::byte> /*bytes*/) noexcept override {}
};

/// Keeps a queue of a device full of requests, from a thread of its own, until it goes.
class Flood {
  public:
    /// `add` puts one request into the queue.
    template <class Add>
    Flood(FakeDriver& driver, FakeQueue& queue, uint16_t index, uint16_t descriptors, Add add)
        : thread_([this, &driver, &queue, index, descriptors, add] {
              while (!stop_) {
                  while (queue.free_descriptors() >= descriptors)
                      add(queue);
                  queue.publish();
                  driver.kick(index);
                  while (queue.take_used())
                      ++done_;
              }
          }) {}
    ~Flood() {
        stop_ = true;
        thread_.join();
    }
    Flood(const Flood&) = delete;
    Flood& operator=(const Flood&) = delete;
    [[nodiscard]] uint64_t done() const { return done_; }

  private:
    std::atomic<bool> stop_ = false;
    std::atomic<uint64_t> done_ = 0;
    std::thread thread_;
};

/// While `flood` runs, the entropy device behind `other` answers request after request.
void check_served(const Flood& flood, FakeRam& ram, FakeDriver& other) {
    FakeQueue queue(ram, 8);
    REQUIRE(other.start(queue));
    REQUIRE(wait_until([&] { return flood.done() > 1000; }));
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < 100; ++i) {
        const uint64_t before = flood.done();
        queue.chain().writable(16).submit();
        other.kick();
        REQUIRE(FakeDriver::wait_used(queue).has_value());
        least = std::min(least, flood.done() - before);
    }
    // The least, since this thread may have slept meanwhile: some turns of the busy device's.
    CHECK(least <= 4 * 256);
    const uint64_t seen = flood.done();
    CHECK(wait_until([&] { return flood.done() > seen; }));
}

}  // namespace

TEST_CASE("fairness: a console that is flooded leaves the worker to others") {
    FakeRam ram;
    Nowhere nowhere;
    FakeDriver busy(ram, ConsoleDevice::create(nowhere, {}).value());
    FakeDriver other(ram, EntropyDevice::create(), busy.shared_worker());
    FakeQueue transmit(ram, 256);
    REQUIRE(busy.negotiate(kFeatureEventIndex));
    busy.configure(kConsoleTransmit, transmit.config()).go();
    const GuestAddress text = ram.allocate(512);
    const Flood flood(busy, transmit, kConsoleTransmit, 1,
                      [text](FakeQueue& queue) { queue.chain().raw(text, 512, 0).add(); });
    check_served(flood, ram, other);
}

TEST_CASE("fairness: so does a disk that always has requests") {
    FakeRam ram;
    FakeDriver busy(ram, BlockDevice::create(
                             {.id = "disk0", .file = numbered_file(1 << 20), .size_bytes = 1 << 20})
                             .value());
    FakeDriver other(ram, EntropyDevice::create(), busy.shared_worker());
    FakeQueue requests(ram, 256);
    REQUIRE(busy.start(requests));
    const GuestAddress header = ram.allocate(sizeof(BlockHeader));
    const GuestAddress data = ram.allocate(513);
    const BlockHeader read{.type = kBlockIn, .reserved = 0, .sector = 0};
    REQUIRE(ram.memory().store(header, read));
    const Flood flood(busy, requests, 0, 3, [header, data](FakeQueue& queue) {
        queue.chain()
            .raw(header, sizeof(BlockHeader), 0)
            .raw(data, 512, kDescriptorWrite)
            .raw({data.value + 512}, 1, kDescriptorWrite)
            .add();
    });
    check_served(flood, ram, other);
}
