// VirtioDevice: what a device is to its transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "devices/virtio/interrupt.h"
#include "devices/virtio/queue.h"

namespace mote {

/// A device that knows neither its address nor its transport nor KVM. One worker thread calls
/// everything below the first group; that group is constant and may be read from any thread.
///
/// Life: activate(), then on_queue() at each notification; drain() before a reset or a pause;
/// reset() or resume() after it.
class VirtioDevice {
  public:
    /// What the device works with from activate() to reset().
    struct Activation {
        /// By index; null where the driver did not enable the queue.
        std::span<Queue* const> queues;
        VirtioInterrupt& interrupt;
        /// The worker's event loop, on whose thread the device is called.
        EventLoop& loop;
        /// Agreed on with the driver: a subset of features().
        uint64_t features;
        /// For a device that is served_elsewhere(), by a queue's index: the eventfds that the
        /// guest's notifications signal. They stay the transport's.
        std::span<const int> kick_fds = {};
        /// For the same: a signal of this eventfd is an interrupt for used buffers, of any queue.
        int call_fd = -1;
    };

    VirtioDevice() = default;
    VirtioDevice(const VirtioDevice&) = delete;
    VirtioDevice& operator=(const VirtioDevice&) = delete;
    virtual ~VirtioDevice() = default;

    /// Names the device in messages: "disk0".
    [[nodiscard]] virtual const std::string& name() const = 0;
    /// Device ID (virtio 1.2, 5).
    [[nodiscard]] virtual uint32_t type() const = 0;
    /// Feature bits offered, with those of the ring.
    [[nodiscard]] virtual uint64_t features() const = 0;
    /// The greatest size of each queue, a power of two.
    [[nodiscard]] virtual std::span<const uint16_t> queue_sizes() const = 0;
    /// The configuration space as it is now; changes are told by VirtioInterrupt. Read under the
    /// transport's lock, by the worker and before there is one.
    [[nodiscard]] virtual std::span<const std::byte> config() const { return {}; }
    /// True where another process serves the queues, by the eventfds of Activation: the transport
    /// then leaves the guest's notifications to it. on_queue() is called after resume() only.
    [[nodiscard]] virtual bool served_elsewhere() const { return false; }

    /// The driver is ready. The queues live until reset() has returned. Errors: the host's; the
    /// driver then finds a device that needs a reset.
    virtual Result<> activate(const Activation& activation) = 0;
    /// Queue `index` may hold new chains (or not). Does a bounded amount of work; true where it
    /// stopped at that bound: it is called again after the loop's other work.
    virtual bool on_queue(uint16_t index) = 0;
    /// The driver wrote `data` at `offset` of the configuration space.
    virtual void config_write(uint64_t offset, std::span<const std::byte> data) {
        static_cast<void>(offset);
        static_cast<void>(data);
    }
    /// Take no new chains; call `done` once none is in flight (at once, where that is so already).
    /// A second drain() before then replaces the first one's `done`.
    virtual void drain(std::function<void()> done) { done(); }
    /// After a drain(): go on. on_queue() is called for each queue after it.
    virtual void resume() {}
    /// Forget the queues. Comes after a drain(); without one, when the transport is destroyed:
    /// waits for what is in flight then.
    virtual void reset() = 0;
};

}  // namespace mote
