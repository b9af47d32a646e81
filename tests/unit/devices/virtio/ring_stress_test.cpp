// Driver and device on two threads over one small ring, each sleeping whenever the ring's rules say
// that it may: a store or a load in the wrong order is a lost wake-up (both sleep for ever) or a
// buffer seen before it was written. ThreadSanitizer sees the rest.

#include <atomic>
#include <chrono>
#include <thread>

#include "devices/virtio/queue.h"
#include "support/fake_queue.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;

namespace {

constexpr uint16_t kRingSize = 4;
constexpr uint32_t kMessages = 50'000;
/// What a buffer holds after the device has seen message `i`.
constexpr uint32_t answer_to(uint32_t i) {
    return i ^ 0xA5A5'5A5AU;
}

/// A wake-up, waited for by looking at it: an eventfd would take so long that the two threads
/// hardly ever decide at the same instant.
class WakeUp {
  public:
    void signal() { signalled_.store(true, std::memory_order_release); }
    /// False where it never comes.
    bool wait() {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        for (unsigned looks = 1; !signalled_.exchange(false, std::memory_order_acquire); ++looks) {
            if (looks % 128 != 0) continue;
            std::this_thread::yield();
            if (std::chrono::steady_clock::now() > limit) return false;
        }
        return true;
    }

  private:
    std::atomic<bool> signalled_ = false;
};

struct Ring {
    explicit Ring(bool event_index)
        : driver(ram, kRingSize, event_index),
          device(Queue::create(driver.config(), ram.memory(),
                               event_index ? virtio::kFeatureEventIndex : 0, {})
                     .value()) {}

    FakeRam ram;
    FakeQueue driver;
    std::unique_ptr<Queue> device;
    WakeUp kick;
    WakeUp interrupt;
    std::atomic<uint32_t> wrong = 0;  ///< messages that did not hold what was sent
    std::atomic<bool> lost = false;   ///< a wake-up that never came
};

/// Answers all messages, up to three to a publish().
void run_device(Ring& ring) {
    uint32_t done = 0;
    while (done < kMessages && !ring.lost) {
        for (uint32_t batch = done % 3 + 1; batch != 0; --batch) {
            auto chain = ring.device->pop();
            if (!chain) break;
            uint32_t value = 0;
            chain->read(std::as_writable_bytes(std::span(&value, 1)));
            if (value != done) ++ring.wrong;
            const uint32_t answer = answer_to(value);
            chain->write(std::as_bytes(std::span(&answer, 1)));
            ring.device->complete(*std::move(chain), sizeof answer);
            ++done;
        }
        if (ring.device->publish()) ring.interrupt.signal();
        if (ring.device->has_work() || ring.device->enable_notifications()) continue;
        if (done < kMessages && !ring.kick.wait()) ring.lost = true;
        ring.device->disable_notifications();
    }
}

/// One slot's descriptors are fixed: message in, answer out.
void run_driver(Ring& ring) {
    const GuestAddress buffers = ring.ram.allocate(8 * kRingSize);
    const auto buffer = [&](uint32_t i) {
        return GuestAddress{buffers.value + uint64_t{8} * (i % (kRingSize / 2))};
    };
    uint32_t sent = 0;
    uint32_t answered = 0;
    while (answered < kMessages && !ring.lost) {
        while (sent < kMessages && sent - answered < kRingSize / 2) {
            ring.ram.memory().store(buffer(sent), sent);
            const GuestAddress out{buffer(sent).value + 4};
            ring.driver.chain().raw(buffer(sent), 4, 0).raw(out, 4, virtio::kDescriptorWrite).add();
            ++sent;
            if (ring.driver.publish()) ring.kick.signal();
        }
        bool progress = false;
        while (ring.driver.take_used()) {
            const GuestAddress out{buffer(answered).value + 4};
            if (ring.ram.memory().load<uint32_t>(out) != answer_to(answered)) ++ring.wrong;
            ++answered;
            progress = true;
        }
        if (progress || answered == kMessages) continue;
        if (ring.driver.want_interrupt() && !ring.interrupt.wait()) ring.lost = true;
        ring.driver.refuse_interrupts();
    }
}

}  // namespace

TEST_CASE("ring stress: two threads lose no wake-up and see no half-written message") {
    const bool event_index = GENERATE(true, false);
    Ring ring(event_index);
    std::thread device([&ring] { run_device(ring); });
    run_driver(ring);
    device.join();
    CHECK_FALSE(ring.lost);
    CHECK(ring.wrong == 0);
    CHECK(ring.driver.used_index() == static_cast<uint16_t>(kMessages));
}
