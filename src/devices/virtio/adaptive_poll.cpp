#include "devices/virtio/adaptive_poll.h"

#include <algorithm>
#include <ctime>

namespace mote {

uint64_t AdaptivePoll::monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

void AdaptivePoll::woken() {
    if (!asleep_) return;
    asleep_ = false;
    const uint64_t now = now_ns_();
    if (now < hold_off_ns_) return;
    const bool slept_long = now - slept_from_ns_ > kMaxWindowNs;
    window_ns_ = slept_long ? 0 : std::clamp(window_ns_ * 2, kFirstWindowNs, kMaxWindowNs);
}

}  // namespace mote
