#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <ctime>
#include <string>

namespace mote {

namespace {

std::atomic<LogLevel> current_level = LogLevel::warning;
std::atomic<bool> raw_terminal = false;

uint64_t now_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000U +
           static_cast<uint64_t>(now.tv_nsec) / 1000000U;
}

}  // namespace

void set_log_level(LogLevel level) {
    current_level = level;
}

bool log_enabled(LogLevel level) {
    return level <= current_level.load(std::memory_order_relaxed);
}

void set_log_raw_terminal(bool raw) {
    raw_terminal = raw;
}

void log_line(LogLevel level, std::string_view message) {
    static constexpr std::array<std::string_view, 4> kNames{"error: ", "warning: ", "", "debug: "};
    std::string line = "mote: ";
    line += kNames[static_cast<size_t>(level)];
    // A message may quote a path or what a guest wrote: it stays one line and no terminal obeys it.
    for (const char c : message)
        line += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
    line += raw_terminal.load(std::memory_order_relaxed) ? "\r\n" : "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

bool LogLimiter::allow() {
    const uint64_t now = now_ms();
    if (now - window_start_ms_ >= period_ms_) {
        window_start_ms_ = now;
        used_ = 0;
    }
    if (used_ >= burst_) return false;
    ++used_;
    return true;
}

}  // namespace mote
