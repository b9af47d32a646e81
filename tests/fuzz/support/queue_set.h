// What the targets share that drive a device by its queues alone, without a transport.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "devices/virtio/device.h"
#include "support/fuzz.h"

namespace mote {

/// One thing that the guest or the host does, 16 bytes of the input; each target reads it its own
/// way.
struct Step {
    uint8_t what;
    uint8_t queue;
    uint16_t first;
    uint16_t second;
    uint16_t unused;
    uint64_t value;
};
static_assert(sizeof(Step) == 16);

/// Hands `take` all steps of an input.
template <class Take>
void for_each_step(const uint8_t* data, size_t size, Take&& take) {
    for (size_t at = 0; at + sizeof(Step) <= size; at += sizeof(Step)) {
        Step step;
        std::memcpy(&step, data + at, sizeof step);
        take(step);
    }
}

/// A device's queues of 8 entries with their rings in guest memory: queue i at 0x1000 * (i + 1).
class QueueSet final : private VirtioInterrupt {
  public:
    static constexpr uint16_t kSize = 8;

    QueueSet(const GuestMemory& memory, size_t count) : memory_(memory), queues_(count) {}

    /// Makes all queues anew and hands them to `device`.
    void activate(VirtioDevice& device, EventLoop& loop) {
        std::vector<Queue*> list;
        for (size_t i = 0; i < queues_.size(); ++i) {
            memory_.store({available(i) + virtio::kRingIndex}, le16(uint16_t{0}));
            queues_[i] = Queue::create({.max_size = 256,
                                        .size = kSize,
                                        .ready = true,
                                        .descriptors = {rings(i)},
                                        .driver = {available(i)},
                                        .device = {rings(i) + kUsed}},
                                       memory_, device.features(), {})
                             .value();
            list.push_back(queues_[i].get());
        }
        const auto done = device.activate(
            {.queues = list, .interrupt = *this, .loop = loop, .features = device.features()});
        require(done.has_value(), "it can be activated");
    }

    void reset(VirtioDevice& device) {
        for (const auto& queue : queues_)
            queue->close();
        device.reset();
        require_no_chain();
    }

    void require_no_chain() const {
        for (const auto& queue : queues_)
            require(queue->in_flight() == 0, "no chain is left");
    }

    /// `value`: 40 bits of address, 24 of length.
    void write_descriptor(size_t queue, uint64_t index, uint64_t value, uint16_t flags,
                          uint16_t next) const {
        const virtio::Descriptor descriptor{.address = value & 0xFF'FFFF'FFFF,
                                            .length = static_cast<uint32_t>(value >> 40U),
                                            .flags = flags,
                                            .next = next};
        memory_.store({rings(queue) + index % kSize * sizeof descriptor}, descriptor);
    }
    /// An entry of the available ring, and its index.
    void write_available(size_t queue, uint16_t slot, uint64_t head, uint16_t index) const {
        memory_.store({available(queue) + virtio::kRingEntries + slot % kSize * uint64_t{2}},
                      le16(static_cast<uint16_t>(head)));
        memory_.store({available(queue) + virtio::kRingIndex}, le16(index));
    }

    /// What a driver does, by `what`: 0 a descriptor (where there is one queue only, Step::queue
    /// is its index), 1 an entry of the available ring, 2 any word of memory, 3 a notification.
    /// False for anything else.
    bool driver_step(const Step& step, unsigned what, VirtioDevice& device) const {
        const size_t queue = step.queue % queues_.size();
        if (what == 0 && queues_.size() == 1)
            write_descriptor(0, step.queue, step.value, step.first, step.second);
        else if (what == 0)
            write_descriptor(queue, step.first >> 8U, step.value, step.first & 0xFFU, step.second);
        else if (what == 1)
            write_available(queue, step.first, step.value, step.second);
        else if (what == 2)
            memory_.store({step.first * uint64_t{4}}, le64(step.value));
        else if (what == 3)
            serve(device, static_cast<uint16_t>(queue));
        return what <= 3;
    }

    static void serve(VirtioDevice& device, uint16_t index) {
        for (unsigned turns = 0; device.on_queue(index); ++turns)
            require(turns < 1024, "a queue comes to its end");
    }

    /// Waits until nothing is under way, as a pause does, and starts the device anew: on a loop of
    /// its own, as one that was stopped stays so.
    void rest(VirtioDevice& device, std::unique_ptr<EventLoop>& loop) {
        bool rested = false;
        device.drain([&] {
            rested = true;
            loop->stop();
        });
        if (!rested) loop->run();
        require(rested, "a drained device rests");
        require_no_chain();
        device.resume();
        reset(device);
        loop = EventLoop::create().value();
        activate(device, *loop);
    }

  private:
    static constexpr uint64_t kAvailable = 0x400;
    static constexpr uint64_t kUsed = 0x800;

    [[nodiscard]] static uint64_t rings(size_t queue) { return uint64_t{0x1000} * (queue + 1); }
    [[nodiscard]] static uint64_t available(size_t queue) { return rings(queue) + kAvailable; }

    void queue(uint16_t /*index*/) override {}
    void config() override {}
    void refresh_config() override {}
    void needs_reset(std::string_view /*why*/) override {}

    const GuestMemory& memory_;
    std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace mote
