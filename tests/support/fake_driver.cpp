#include "support/fake_driver.h"

#include <cstring>

namespace mote::test {

bool wait_until(const std::function<bool()>& condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::yield();
    }
    return true;
}

void WorkerThread::stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
}

FakeDriver::FakeDriver(FakeRam& ram, std::unique_ptr<VirtioDevice> device,
                       std::shared_ptr<WorkerThread> worker)
    : worker_(std::move(worker)) {
    transport_ = MmioTransport::create(std::move(device), ram.memory(), worker_->loop(),
                                       page_->bytes, EventFd::create().value())
                     .value();
}

FakeDriver::~FakeDriver() {
    worker_->stop();
}

uint32_t FakeDriver::read(uint64_t offset) const {
    auto* const field = reinterpret_cast<uint32_t*>(&page_->bytes[offset]);
    return std::atomic_ref(*field).load(std::memory_order_acquire);
}

uint64_t FakeDriver::read64(uint64_t offset) const {
    return read(offset) | uint64_t{read(offset + 4)} << 32U;
}

MmioTransport::WriteResult FakeDriver::write(uint64_t offset, uint32_t value) {
    for (const MmioTransport::Doorbell& bell : transport_->doorbells()) {
        if (bell.offset != offset || bell.value != value || bell.length != sizeof value) continue;
        ++kicks;
        const uint64_t one = 1;
        if (::write(bell.fd, &one, sizeof one) != sizeof one) std::abort();
        return MmioTransport::WriteResult::done;
    }
    ++exits;
    return transport_->write(offset, std::as_bytes(std::span(&value, 1)));
}

uint64_t FakeDriver::offered() {
    write(mmio::kDeviceFeaturesSel, 1);
    const uint64_t upper = read(mmio::kDeviceFeatures);
    write(mmio::kDeviceFeaturesSel, 0);
    return upper << 32U | read(mmio::kDeviceFeatures);
}

bool FakeDriver::reset() {
    if (write(mmio::kStatus, 0) == MmioTransport::WriteResult::reset_pending &&
        !wait_until([this] { return !transport_->reset_pending(); }))
        return false;
    return status() == 0;
}

bool FakeDriver::negotiate(uint64_t features) {
    if (!reset()) return false;
    const uint64_t wanted = features | virtio::kFeatureVersion1;
    write(mmio::kStatus, virtio::kStatusAcknowledge);
    write(mmio::kStatus, status() | virtio::kStatusDriver);
    write(mmio::kDriverFeaturesSel, 0);
    write(mmio::kDriverFeatures, static_cast<uint32_t>(wanted));
    write(mmio::kDriverFeaturesSel, 1);
    write(mmio::kDriverFeatures, static_cast<uint32_t>(wanted >> 32U));
    write(mmio::kStatus, status() | virtio::kStatusFeaturesOk);
    return (status() & virtio::kStatusFeaturesOk) != 0;
}

FakeDriver& FakeDriver::configure(uint16_t index, const QueueConfig& config) {
    write(mmio::kQueueSel, index);
    write(mmio::kQueueNum, config.size);
    const auto address = [this](uint64_t offset, GuestAddress value) {
        write(offset, static_cast<uint32_t>(value.value));
        write(offset + 4, static_cast<uint32_t>(value.value >> 32U));
    };
    address(mmio::kQueueDescLow, config.descriptors);
    address(mmio::kQueueDriverLow, config.driver);
    address(mmio::kQueueDeviceLow, config.device);
    write(mmio::kQueueReady, config.ready ? 1 : 0);
    return *this;
}

FakeDriver& FakeDriver::go() {
    write(mmio::kStatus, status() | virtio::kStatusDriverOk);
    return *this;
}

bool FakeDriver::start(const FakeQueue& queue, uint64_t features) {
    if (!negotiate(features)) return false;
    configure(0, queue.config()).go();
    return (status() & (virtio::kStatusDriverOk | virtio::kStatusNeedsReset)) ==
           virtio::kStatusDriverOk;
}

std::optional<virtio::UsedElement> FakeDriver::wait_used(FakeQueue& queue) {
    std::optional<virtio::UsedElement> element;
    wait_until([&] { return (element = queue.take_used()).has_value(); });
    return element;
}

}  // namespace mote::test
