#include "devices/virtio/entropy.h"

#include <sys/random.h>

#include <algorithm>

namespace mote {

std::unique_ptr<VirtioDevice> EntropyDevice::create(Throttle throttle) {
    return std::unique_ptr<VirtioDevice>(new EntropyDevice(std::move(throttle)));
}

uint64_t EntropyDevice::features() const {
    return virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect;
}

Result<> EntropyDevice::activate(const Activation& activation) {
    queue_ = activation.queues[0];
    interrupt_ = &activation.interrupt;
    return throttle_.attach(activation.loop, [this] { return on_queue(0); });
}

void EntropyDevice::reset() {
    throttle_.detach();
    draining_ = false;
    queue_ = nullptr;
}

void EntropyDevice::drain(std::function<void()> done) {
    draining_ = true;
    done();
}

bool EntropyDevice::on_queue(uint16_t index) {
    if (draining_ || throttle_.held_up()) return false;
    unsigned turns = kMaxRequestsPerTurn;
    do {
        while (auto chain = queue_->pop()) {
            if (!throttle_.allow(std::min<uint64_t>(chain->writable(), kMaxRequest))) {
                queue_->put_back(*std::move(chain));
                break;
            }
            answer(*std::move(chain));
            if (--turns == 0) break;
        }
        // Publish before asking for notifications: a driver that waits for this one answer then
        // finds it already there.
        if (queue_->publish()) interrupt_->queue(index);
        if (turns == 0) return true;
        if (throttle_.held_up()) return false;
    } while (queue_->enable_notifications());
    return false;
}

void EntropyDevice::answer(Chain chain) {
    if (chain.writable() == 0 || chain.readable() != 0)
        return queue_->reject(std::move(chain), "an entropy request has one purpose: to be filled");
    std::array<std::byte, kMaxRequest> bytes;
    const size_t wanted = std::min<uint64_t>(bytes.size(), chain.writable());
    // Short only where a signal comes in between; the driver asks again for what is missing.
    const ssize_t got = ::getrandom(bytes.data(), wanted, 0);
    const auto written = static_cast<uint32_t>(std::max<ssize_t>(got, 0));
    chain.write(std::span(bytes).first(written));
    queue_->complete(std::move(chain), written);
}

}  // namespace mote
