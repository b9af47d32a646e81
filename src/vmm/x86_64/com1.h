// Com1: the serial port as the machine wires it, with writes that KVM coalesces
// while it is busy.
#pragma once

#include <memory>
#include <mutex>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "devices/serial.h"
#include "kvm/vm.h"
#include "vmm/coalesced_writes.h"

namespace mote {

/// A Serial behind a port range. The first bytes that a guest sends exit one by
/// one and are out at once. A guest that goes on sending gets its THR writes
/// coalesced (no exit); then the ring is emptied before each access that does
/// exit and by a timer, so that no byte waits longer than kDrainPeriod, also in
/// a guest that writes and halts. The timer ends with the burst.
class Com1 final : public IoHandler {
  public:
    static constexpr long kDrainPeriodMs = 10;

    /// `output` and `writes` outlive it; `coalesce`: KVM can keep port writes
    /// for `writes`. Errors: EMFILE, ENOMEM, or KVM refusing the interrupt.
    static Result<std::unique_ptr<Com1>> create(const Vm& vm, EventLoop& worker,
                                                ConsoleOutput& output, CoalescedWrites& writes,
                                                bool coalesce);

    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

    [[nodiscard]] Serial& serial() { return serial_; }

  private:
    Com1(const Vm& vm, ConsoleOutput& output, CoalescedWrites& writes, EventFd line, UniqueFd timer)
        : vm_(vm),
          serial_(output, std::move(line)),
          writes_(writes),
          timer_(std::move(timer)),
          can_coalesce_(timer_.valid()) {}
    void count_exit();
    void set_coalescing(bool on);
    void on_timer();

    const Vm& vm_;
    Serial serial_;
    CoalescedWrites& writes_;
    UniqueFd timer_;
    std::mutex mutex_;
    bool can_coalesce_;
    bool coalescing_ = false;
    unsigned sent_by_exit_ = 0;
    unsigned idle_ticks_ = 0;
};

}  // namespace mote
