// EndPolicy: what signals, keys and the machine's own end lead to.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "cli/exit_status.h"
#include "vmm/machine.h"

namespace mote {

/// The rules of docs/exit-status.md as a state machine, without clock or descriptors.
class EndPolicy {
  public:
    using Clock = std::chrono::steady_clock;
    enum class Act : uint8_t { nothing, press_power_button, end, grace_is_over };

    explicit EndPolicy(std::chrono::seconds grace) : grace_(grace) {}

    /// SIGTERM and SIGINT: the first asks, the second ends.
    Act on_terminate(Clock::time_point now);
    /// SIGHUP, or the terminal is gone: both come for one and the same event.
    Act on_hangup(Clock::time_point now);

    /// What time itself leads to: the button is pressed again and again, since a guest that is not
    /// up yet takes no notice; then the grace time is over.
    Act on_time(Clock::time_point now);

    /// When on_time() has something to do next; nothing while nobody asked for an end.
    [[nodiscard]] std::optional<Clock::time_point> next() const;

  private:
    static constexpr std::chrono::seconds kPressAgain{1};

    const std::chrono::seconds grace_;
    std::optional<Clock::time_point> deadline_;
    Clock::time_point pressed_;
};

/// The status for a machine that ended by itself.
ExitStatus status_of(EndKind kind);

}  // namespace mote
