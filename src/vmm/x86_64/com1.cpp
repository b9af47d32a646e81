#include "vmm/x86_64/com1.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

constexpr uint64_t kTransmitOffset = 0;
// Turning coalescing on and off costs the kernel a grace period each: not worth
// it for the echo of a few keys.
constexpr unsigned kExitsBeforeCoalescing = 16;
constexpr unsigned kIdleTicksBeforeStop = 20;

void set_period(int timer, long milliseconds) {
    itimerspec period{};
    period.it_value.tv_nsec = period.it_interval.tv_nsec = milliseconds * 1'000'000;
    ::timerfd_settime(timer, 0, &period, nullptr);
}

}  // namespace

Result<std::unique_ptr<Com1>> Com1::create(const Vm& vm, EventLoop& worker, ConsoleOutput& output,
                                           CoalescedWrites& writes, bool coalesce) {
    EventFd line = TRY(EventFd::create());
    UniqueFd timer;
    if (coalesce) {
        timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer.valid()) return fail_errno("COM1: cannot create a timer");
    }
    auto com1 =
        std::unique_ptr<Com1>(new Com1(vm, output, writes, std::move(line), std::move(timer)));
    TRY(vm.add_interrupt(com1->serial_.line(), layout::kCom1Gsi));
    if (!coalesce) return com1;
    writes.to_ports([self = com1.get()](uint64_t /*port*/, std::span<const std::byte> bytes) {
        self->serial_.sent(bytes);
    });
    TRY(worker.add(com1->timer_.get(), EPOLLIN,
                   [self = com1.get()](uint32_t) { self->on_timer(); }));
    return com1;
}

void Com1::set_coalescing(bool on) {
    if (const auto done = vm_.coalesce_port(layout::kCom1Port, on); !done) {
        log_message(LogLevel::warning, "COM1: {}; its output exits byte by byte",
                    done.error().message);
        can_coalesce_ = coalescing_ = false;
        set_period(timer_.get(), 0);
        return;
    }
    coalescing_ = on;
    sent_by_exit_ = 0;
    idle_ticks_ = 0;
    set_period(timer_.get(), on ? kDrainPeriodMs : 0);
}

void Com1::count_exit() {
    if (can_coalesce_ && !coalescing_ && ++sent_by_exit_ >= kExitsBeforeCoalescing)
        set_coalescing(true);
}

void Com1::read(uint64_t offset, std::span<std::byte> data) {
    writes_.drain();
    serial_.read(offset, data);
}

void Com1::write(uint64_t offset, std::span<const std::byte> data) {
    writes_.drain();
    serial_.write(offset, data);
    const std::lock_guard lock(mutex_);
    if (offset == kTransmitOffset) count_exit();
}

void Com1::on_timer() {
    uint64_t expirations = 0;
    [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
    const size_t drained = writes_.drain();
    {
        const std::lock_guard lock(mutex_);
        if (!coalescing_) return;
        idle_ticks_ = drained != 0 ? 0 : idle_ticks_ + 1;
        if (idle_ticks_ < kIdleTicksBeforeStop) return;
        set_coalescing(false);
    }
    writes_.drain();
}

}  // namespace mote
