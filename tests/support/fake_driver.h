// FakeDriver: a guest's virtio-mmio driver against a transport, with the kernel's part played too:
// writes that match a doorbell signal its eventfd, all others "exit" to MmioTransport::write().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "devices/virtio/mmio_transport.h"
#include "support/fake_queue.h"
#include "support/fake_ram.h"

namespace mote::test {

/// Waits until `condition` holds; false after 10 s.
bool wait_until(const std::function<bool()>& condition);

/// A worker's event loop with its thread.
class WorkerThread {
  public:
    WorkerThread() : loop_(EventLoop::create().value()), thread_([this] { loop_->run(); }) {}
    ~WorkerThread() { stop(); }
    WorkerThread(const WorkerThread&) = delete;
    WorkerThread& operator=(const WorkerThread&) = delete;
    [[nodiscard]] EventLoop& loop() { return *loop_; }
    /// Ends the loop: what lives on it may be destroyed after.
    void stop();
    /// Waits until everything posted before has run.
    void settle() {
        loop_->post_and_wait([] {});
    }

  private:
    std::unique_ptr<EventLoop> loop_;
    std::thread thread_;
};

class FakeDriver {
  public:
    /// Puts `device` behind a transport on a worker of its own, or on one that it shares.
    FakeDriver(FakeRam& ram, std::unique_ptr<VirtioDevice> device,
               std::shared_ptr<WorkerThread> worker = std::make_shared<WorkerThread>());
    ~FakeDriver();
    FakeDriver(const FakeDriver&) = delete;
    FakeDriver& operator=(const FakeDriver&) = delete;

    [[nodiscard]] MmioTransport& transport() { return *transport_; }
    [[nodiscard]] WorkerThread& worker() { return *worker_; }

    [[nodiscard]] const std::shared_ptr<WorkerThread>& shared_worker() const { return worker_; }

    [[nodiscard]] uint32_t read(uint64_t offset) const;
    [[nodiscard]] uint64_t read64(uint64_t offset) const;
    MmioTransport::WriteResult write(uint64_t offset, uint32_t value);

    [[nodiscard]] uint32_t status() const { return read(mmio::kStatus); }
    [[nodiscard]] bool needs_reset() const { return (status() & virtio::kStatusNeedsReset) != 0; }
    [[nodiscard]] uint64_t offered();

    /// Writes 0 to Status and waits until the device says so.
    bool reset();
    /// From reset to FEATURES_OK with `features` and VERSION_1; false where the device disagrees.
    bool negotiate(uint64_t features);
    FakeDriver& configure(uint16_t index, const QueueConfig& config);
    /// DRIVER_OK.
    FakeDriver& go();
    /// negotiate() with the ring's features, queue 0, go().
    bool start(const FakeQueue& queue,
               uint64_t features = virtio::kFeatureEventIndex | virtio::kFeatureIndirect);
    void kick(uint16_t index = 0) { write(mmio::kQueueNotify, index); }
    /// Takes one interrupt off the line, if there is one.
    bool take_interrupt() { return transport_->line().consume(); }
    /// The next used element of `queue`, waited for.
    static std::optional<virtio::UsedElement> wait_used(FakeQueue& queue);

    uint64_t kicks = 0;  ///< writes that a doorbell took
    uint64_t exits = 0;  ///< writes that none took

  private:
    struct alignas(4096) Page {
        std::byte bytes[RegisterPage::kSize] = {};
    };

    std::unique_ptr<Page> page_ = std::make_unique<Page>();
    const std::shared_ptr<WorkerThread> worker_;
    std::unique_ptr<MmioTransport> transport_;
};

}  // namespace mote::test
