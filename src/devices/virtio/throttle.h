// Throttle: a device's rate limiter, and the timer that goes on when it lets more through.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "base/event_loop.h"
#include "base/rate_limiter.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Used by a device on its worker's thread. Without limits it costs nothing.
class Throttle {
  public:
    /// How long a device that was held up waits before it tries again.
    static constexpr uint64_t kRetryMs = 100;

    /// Without limits.
    Throttle() : limiter_({}, 0) {}
    /// Errors: EMFILE, ENFILE, ENOMEM.
    static Result<Throttle> create(const RateLimits& limits);

    /// From activation to reset: `go_on` is called when the device is to look at its queues again,
    /// and returns true where it has more to do than one turn's work.
    Result<> attach(EventLoop& loop, std::function<bool()> go_on);
    void detach();

    /// Changes the limits while the device runs; one that is held up tries again at once. Errors:
    /// EMFILE, ENFILE, ENOMEM; nothing has changed then.
    Result<> update(const RateLimitsUpdate& update);

    /// True where a request of `bytes` may pass now. Else the device keeps it and is held up until
    /// `go_on`: notifications that come meanwhile are answered by held_up().
    bool allow(uint64_t bytes);
    [[nodiscard]] bool held_up() const { return held_up_; }
    /// True where nothing is ever held up.
    [[nodiscard]] bool unlimited() const { return limiter_.unlimited(); }

  private:
    void wait(uint64_t nanoseconds) const;
    Result<> make_timer();
    Result<> watch_timer();

    RateLimiter limiter_;
    UniqueFd timer_;
    EventLoop* loop_ = nullptr;  ///< from attach() to detach()
    std::function<bool()> go_on_;
    bool watched_ = false;
    bool held_up_ = false;
};

}  // namespace mote
