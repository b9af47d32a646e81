#include "devices/virtio/throttle.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/adaptive_poll.h"

namespace mote {

Result<Throttle> Throttle::create(const RateLimits& limits) {
    Throttle throttle;
    throttle.limiter_ = RateLimiter(limits, AdaptivePoll::monotonic_ns());
    if (!throttle.limiter_.unlimited()) TRY(throttle.make_timer());
    return throttle;
}

Result<> Throttle::make_timer() {
    if (timer_.valid()) return {};
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer_.valid()) return fail_errno("cannot create a rate limiter's timer");
    return {};
}

Result<> Throttle::attach(EventLoop& loop, std::function<bool()> go_on) {
    loop_ = &loop;
    go_on_ = std::move(go_on);
    return timer_.valid() ? watch_timer() : Result<>();
}

Result<> Throttle::watch_timer() {
    if (watched_) return {};
    TRY(loop_->add(timer_.get(), EPOLLIN, [this](uint32_t) {
        uint64_t expirations = 0;
        [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
        held_up_ = false;
        // More to do: come back after what else the loop has.
        if (go_on_()) wait(1);
    }));
    watched_ = true;
    return {};
}

void Throttle::detach() {
    held_up_ = false;
    if (std::exchange(watched_, false)) {
        wait(0);
        loop_->remove(timer_.get());
    }
    loop_ = nullptr;
}

Result<> Throttle::update(const RateLimitsUpdate& update) {
    RateLimiter limiter = limiter_;
    limiter.update(update, AdaptivePoll::monotonic_ns());
    if (!limiter.unlimited()) {
        TRY(make_timer());
        if (loop_ != nullptr) TRY(watch_timer());
    }
    limiter_ = limiter;
    if (held_up_) wait(1);
    return {};
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
