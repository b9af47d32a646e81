// Com1: the serial port as the machine wires it, with writes that KVM coalesces
// while it is busy.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "devices/serial.h"
#include "kvm/coalesced_ring.h"
#include "kvm/vm.h"

namespace mote {

/// A Serial behind a port range. The first bytes that a guest sends exit one by
/// one and are out at once. A guest that goes on sending gets its THR writes
/// coalesced (no exit); then the ring is emptied before each access that does
/// exit and by a timer, so that no byte waits longer than kDrainPeriod, also in
/// a guest that writes and halts. The timer ends with the burst.
class Com1 final : public IoHandler {
  public:
    static constexpr long kDrainPeriodMs = 10;

    /// `output` outlives it; `ring_page` is the coalesced ring's, where KVM has
    /// one. Errors: EMFILE, ENOMEM, or KVM refusing the interrupt.
    static Result<std::unique_ptr<Com1>> create(const Vm& vm, EventLoop& worker,
                                                SerialOutput& output,
                                                std::optional<std::span<std::byte>> ring_page);

    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

    /// Hands over what is still in the ring. Any thread.
    void drain();
    [[nodiscard]] Serial& serial() { return serial_; }

  private:
    Com1(const Vm& vm, SerialOutput& output, EventFd line, UniqueFd timer)
        : vm_(vm), serial_(output, std::move(line)), timer_(std::move(timer)) {}
    size_t drain_locked();
    void count_exit();
    void set_coalescing(bool on);
    void on_timer();

    const Vm& vm_;
    Serial serial_;
    UniqueFd timer_;
    std::mutex mutex_;
    std::optional<CoalescedRing> ring_;
    bool coalescing_ = false;
    unsigned sent_by_exit_ = 0;
    unsigned idle_ticks_ = 0;
};

}  // namespace mote
