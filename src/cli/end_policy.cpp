#include "cli/end_policy.h"

#include <algorithm>

namespace mote {

EndPolicy::Act EndPolicy::on_terminate(Clock::time_point now) {
    if (deadline_) return Act::end;
    return on_hangup(now);
}

EndPolicy::Act EndPolicy::on_hangup(Clock::time_point now) {
    if (deadline_) return Act::nothing;
    deadline_ = now + grace_;
    pressed_ = now;
    return Act::press_power_button;
}

EndPolicy::Act EndPolicy::on_time(Clock::time_point now) {
    if (!deadline_) return Act::nothing;
    if (now >= *deadline_) return Act::grace_is_over;
    if (now < pressed_ + kPressAgain) return Act::nothing;
    pressed_ = now;
    return Act::press_power_button;
}

std::optional<EndPolicy::Clock::time_point> EndPolicy::next() const {
    if (!deadline_) return std::nullopt;
    return std::min(*deadline_, pressed_ + kPressAgain);
}

ExitStatus status_of(EndKind kind) {
    switch (kind) {
        case EndKind::power_off:
            return ExitStatus::success;
        case EndKind::reboot:
            return ExitStatus::reboot;
        case EndKind::panic:
            return ExitStatus::guest_panic;
        case EndKind::crash:
            return ExitStatus::guest_crash;
        case EndKind::host_failure:
            return ExitStatus::host_failure;
    }
    return ExitStatus::host_failure;
}

}  // namespace mote
