// AdaptivePoll: looking for more work for a while before sleeping, as long as that pays.
#pragma once

#include <cstdint>

#include "base/cpu_relax.h"

namespace mote {

/// A guest that waits for each answer before it asks again sends its next request some
/// microseconds after the last completion. A worker that still looks then spares the guest the
/// notification and itself the wake-up. The time it looks grows while sleeps turn out to be short,
/// and falls to 0 when they are long, and where its CPU is wanted by somebody else, the guest
/// included. One thread.
class AdaptivePoll {
  public:
    /// Nanoseconds of a clock that only goes forward.
    using Clock = uint64_t (*)();
    static uint64_t monotonic_ns();

    explicit AdaptivePoll(Clock clock = &monotonic_ns) : now_ns_(clock) {}

    /// Call where the worker turns to the device: learns from how long it slept.
    void woken();

    /// Looks until found() (true), or the time is over or others_wait(): the worker has other work
    /// (false: ask for notifications and sleep).
    template <class Found, class OthersWait>
    bool look(Found found, OthersWait others_wait) {
        uint64_t now = now_ns_();
        const uint64_t end = now + window_ns_;
        uint64_t ask_others = now + kAskOthersEveryNs;
        while (now < end) {
            for (unsigned i = 0; i < kLooksPerTime; ++i) {
                if (found()) {
                    misses_ = 0;
                    return true;
                }
                cpu_relax();
            }
            const uint64_t before = now;
            now = now_ns_();
            if (now - before > kPreemptedNs && preempted(now)) break;
            if (now >= ask_others) {
                if (others_wait()) break;
                ask_others = now + kAskOthersEveryNs;
            }
        }
        // In vain again and again, though each sleep is short: the guest cannot run while we look.
        if (window_ns_ != 0 && ++misses_ == kMaxMisses) hold_off(now);
        asleep_ = true;
        slept_from_ns_ = now;
        return false;
    }

    [[nodiscard]] uint64_t window_ns() const { return window_ns_; }

    static constexpr uint64_t kFirstWindowNs = 10'000;
    static constexpr uint64_t kMaxWindowNs = 50'000;

  private:
    static constexpr unsigned kLooksPerTime = 16;
    static constexpr unsigned kMaxMisses = 4;
    /// others_wait() is a system call.
    static constexpr uint64_t kAskOthersEveryNs = 5'000;
    /// Some looks take well under a microsecond, unless another thread had the CPU in between.
    static constexpr uint64_t kPreemptedNs = 20'000;
    static constexpr uint64_t kHoldOffNs = 10'000'000;

    /// Another thread had this CPU. Once is no sign of much; twice in a short time is.
    bool preempted(uint64_t now) {
        const bool again = now - preempted_ns_ < kHoldOffNs;
        preempted_ns_ = now;
        if (again) hold_off(now);
        return again;
    }
    void hold_off(uint64_t now) {
        window_ns_ = 0;
        misses_ = 0;
        hold_off_ns_ = now + kHoldOffNs;
    }

    Clock now_ns_;
    uint64_t window_ns_ = 0;
    uint64_t hold_off_ns_ = 0;
    uint64_t preempted_ns_ = 0;
    uint64_t slept_from_ns_ = 0;
    unsigned misses_ = 0;  ///< looks in a row that found nothing
    bool asleep_ = false;
};

}  // namespace mote
