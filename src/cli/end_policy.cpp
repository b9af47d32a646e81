#include "cli/end_policy.h"

namespace mote {

EndPolicy::Act EndPolicy::on_terminate(Clock::time_point now) {
    if (deadline_) return Act::end;
    return on_hangup(now);
}

EndPolicy::Act EndPolicy::on_hangup(Clock::time_point now) {
    if (deadline_) return Act::nothing;
    deadline_ = now + grace_;
    return Act::press_power_button;
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
