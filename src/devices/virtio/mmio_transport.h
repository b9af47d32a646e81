// MmioTransport: puts a virtio device behind a page of registers (virtio 1.2, 4.2).
//
// Threads. vCPU threads call write() and read(); registers change under one mutex. Everything that
// concerns the device itself (activation, notifications, configuration writes, reset) is posted to
// the worker's event loop. The way of a request has no lock: the guest's notification is an
// ioeventfd that the loop watches, an interrupt is an irqfd.
//
// A reset of a running device is asynchronous: it is done when no request is in flight. Until then
// Status reads as before, writes are ignored, and the vCPU that asked for it must not go on (a
// driver may reuse the memory of its rings right after the write).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/event_fd.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "base/result.h"
#include "devices/virtio/device.h"
#include "devices/virtio/mmio_registers.h"
#include "memory/guest_memory.h"

namespace mote {

class MmioTransport final : private VirtioInterrupt {
  public:
    /// A write that a kernel can take without waking a vCPU's thread: an ioeventfd.
    struct Doorbell {
        uint64_t offset;  ///< in the device's page
        uint32_t length;  ///< bytes of the write
        uint64_t value;   ///< the write has to match
        int fd;           ///< eventfd, the transport's
    };

    /// Registers whose writes show nothing by themselves: a kernel may keep them, if it hands them
    /// over, in their order, before the next write that is not one of these.
    struct DeferredWrites {
        uint64_t offset;  ///< in the device's page
        uint32_t size;
    };
    /// What the driver accepts; a queue's size; its addresses (virtio 1.2, 4.2.2).
    static constexpr std::array<DeferredWrites, 3> kDeferredWrites{
        {{mmio::kDriverFeatures, 8}, {mmio::kQueueNum, 4}, {mmio::kQueueDescLow, 0x28}}};

    enum class WriteResult : uint8_t {
        done,
        reset_pending,  ///< the vCPU waits until reset_pending() is false
    };

    /// `page` is this device's part of the register window, `line` an eventfd that becomes an
    /// edge-triggered irqfd; `worker` is the loop whose thread the device lives on. `memory`,
    /// `worker` and `page` outlive the transport, which may be destroyed once the loop does not run
    /// any more. Errors: EMFILE, ENFILE, ENOMEM; a configuration space that does not fit.
    static Result<std::unique_ptr<MmioTransport>> create(
        std::unique_ptr<VirtioDevice> device, const GuestMemory& memory, EventLoop& worker,
        std::span<std::byte, RegisterPage::kSize> page, EventFd line);
    ~MmioTransport() override;

    [[nodiscard]] const std::string& name() const { return device_->name(); }
    /// QueueNotify of each queue, and InterruptACK of value 1, which nobody reads: bit 0 of
    /// InterruptStatus stays set. Constant from creation on.
    [[nodiscard]] std::span<const Doorbell> doorbells() const { return doorbells_; }
    [[nodiscard]] const EventFd& line() const { return line_; }

    /// A write of the guest that no doorbell took, at `offset` of the page. vCPU threads.
    WriteResult write(uint64_t offset, std::span<const std::byte> data);
    /// What a guest reads there; for machines whose window is not a memory slot. Any thread.
    void read(uint64_t offset, std::span<std::byte> data) const;

    /// True from a write that returned WriteResult::reset_pending until the reset is done. Any
    /// thread.
    [[nodiscard]] bool reset_pending() const {
        return reset_pending_.load(std::memory_order_acquire);
    }
    /// Called on the worker's thread when a pending reset is done. Set before the loop runs.
    void on_reset_done(std::function<void()> callback) { on_reset_done_ = std::move(callback); }

    /// A pause that has been asked for.
    class Pause {
      public:
        /// Waits until no request is in flight. Not from the worker's thread; the loop runs.
        /// Errors: some still are at `deadline`; the device then goes on.
        Result<> wait(std::chrono::steady_clock::time_point deadline);

      private:
        friend MmioTransport;
        struct State;
        Pause(MmioTransport& transport, std::shared_ptr<State> state)
            : transport_(transport), state_(std::move(state)) {}
        MmioTransport& transport_;
        std::shared_ptr<State> state_;
    };

    /// Stops taking requests, soon: several devices are asked first and then waited for. The
    /// transport outlives what is returned. Any thread.
    Pause start_pause();
    /// start_pause(), and waits for at most `limit`.
    Result<> pause(std::chrono::milliseconds limit);
    /// Goes on after a pause(), with what came in meanwhile.
    void resume();

    /// The host has changed the device's configuration space, whether a driver runs it or not.
    /// Worker's thread.
    void device_config_changed() { config(); }

  private:
    /// One queue's notifications; lives as long as the transport.
    struct Kick {
        EventFd event;
        bool watched = false;  ///< worker's thread
    };

    MmioTransport(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory,
                  EventLoop& worker, std::span<std::byte, RegisterPage::kSize> page, EventFd line);
    Result<> create_doorbells();

    // VirtioInterrupt; worker's thread.
    void queue(uint16_t index) override;
    void config() override;
    void refresh_config() override;
    void needs_reset(std::string_view why) override;

    // vCPU threads, under mutex_.
    WriteResult write_config(uint64_t offset, std::span<const std::byte> data);
    void start_activation();
    WriteResult start_reset();
    void break_device(std::string_view why);
    void show_config();
    void note(std::string_view text, uint64_t offset);

    // Worker's thread.
    void activate(uint64_t features);
    Result<> watch_kicks();
    void unwatch_kicks();
    void on_kick(uint16_t index);
    void serve(uint16_t index);
    void reset_device();
    void finish_reset();
    void at_rest();

    const std::unique_ptr<VirtioDevice> device_;
    const GuestMemory& memory_;
    EventLoop& worker_;
    const EventFd line_;
    std::vector<Kick> kicks_;
    std::vector<int> kick_fds_;  ///< those of kicks_
    std::vector<Doorbell> doorbells_;
    std::function<void()> on_reset_done_;

    mutable std::mutex mutex_;
    MmioRegisters registers_;
    LogLimiter log_limiter_;
    bool started_ = false;        ///< activated since the last reset, or about to be
    uint32_t config_writes_ = 0;  ///< posted and not yet done
    std::atomic<bool> reset_pending_ = false;

    // Worker's thread; start_activation() fills the queues before it posts.
    std::vector<std::unique_ptr<Queue>> queues_;
    std::vector<Queue*> queue_list_;
    bool active_ = false;
    bool paused_ = false;
    bool resetting_ = false;
    std::function<void()> on_paused_;  ///< of a pause() that waits for the device
};

}  // namespace mote
