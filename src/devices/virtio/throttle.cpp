#include "devices/virtio/throttle.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/adaptive_poll.h"

namespace mote {

Result<Throttle> Throttle::create(const RateLimits& limits) {
    RateLimiter limiter(limits, AdaptivePoll::monotonic_ns());
    UniqueFd timer;
    if (!limiter.unlimited()) {
        timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer.valid()) return fail_errno("cannot create a rate limiter's timer");
    }
    return Throttle(std::move(limiter), std::move(timer));
}

Result<> Throttle::attach(EventLoop& loop, std::function<bool()> go_on) {
    if (!timer_.valid()) return {};
    TRY(loop.add(timer_.get(), EPOLLIN, [this, go_on = std::move(go_on)](uint32_t) {
        uint64_t expirations = 0;
        [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
        held_up_ = false;
        // More to do: come back after what else the loop has.
        if (go_on()) wait(1);
    }));
    loop_ = &loop;
    return {};
}

void Throttle::detach() {
    held_up_ = false;
    if (loop_ == nullptr) return;
    wait(0);
    std::exchange(loop_, nullptr)->remove(timer_.get());
}

bool Throttle::allow(uint64_t bytes) {
    if (limiter_.unlimited() || limiter_.allow(bytes, AdaptivePoll::monotonic_ns())) return true;
    held_up_ = true;
    wait(kRetryMs * 1'000'000);
    return false;
}

void Throttle::wait(uint64_t nanoseconds) const {
    itimerspec timer{};
    timer.it_value.tv_nsec = static_cast<long>(nanoseconds);
    ::timerfd_settime(timer_.get(), 0, &timer, nullptr);
}

}  // namespace mote
