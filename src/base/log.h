// Messages of mote's own, to standard error.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string_view>

namespace mote {

enum class LogLevel : uint8_t { error, warning, info, debug };

/// Messages above this level are dropped. Default: warning. Call before threads exist.
void set_log_level(LogLevel level);
[[nodiscard]] bool log_enabled(LogLevel level);
/// Writes `mote: warning: MESSAGE` as one write(2) to standard error. Any thread.
void log_line(LogLevel level, std::string_view message);
/// Writes `text` as it is, in order with the messages. Any thread.
void log_text(std::string_view text);

/// From now on a thread of the log's own does the writing, so that no other ever waits for whoever
/// reads standard error: a full pipe, a terminal that is stopped. What finds more than 16 KiB
/// waiting is dropped; a line in its place tells how many. The thread starts with the first
/// message. Main thread.
void log_without_waiting();
/// Waits until every message is written, for at most `limit`; false where that was over first.
/// Main thread.
bool flush_log(std::chrono::milliseconds limit);

/// Messages end in "\r\n" instead of "\n" while set: the terminal is in raw mode then. Any thread.
void set_log_raw_terminal(bool raw);

template <class... Args>
void log_message(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (log_enabled(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

/// At most `burst` messages in each period: for lines that a guest can cause. A period in which
/// some were kept back makes the next one twice as long, up to an hour, so that a guest that never
/// stops fills no disk; one without makes it short again. Not thread-safe: one owner, one thread
/// (or under the owner's mutex).
class LogLimiter {
  public:
    static constexpr uint64_t kLongestPeriodMs = 3'600'000;

    explicit LogLimiter(uint32_t burst = 5, uint64_t period_ms = 1000)
        : burst_(burst), shortest_ms_(period_ms), period_ms_(period_ms) {}
    /// True where this message may be written now.
    bool allow();
    /// The same at the time `now_ms`, which never goes back.
    bool allow(uint64_t now_ms);

  private:
    uint32_t burst_;
    uint64_t shortest_ms_;
    uint64_t period_ms_;
    uint64_t period_start_ms_ = 0;
    uint32_t asked_ = 0;  ///< in this period
};

}  // namespace mote
