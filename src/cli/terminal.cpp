#include "cli/terminal.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>

#include "base/log.h"

namespace mote {

namespace {

// For the handler of fatal signals, which may touch nothing that needs a lock.
termios crash_modes{};
int crash_fd = -1;
std::atomic<bool> crash_restore = false;

constexpr std::array<int, 5> kFatalSignals{SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};

void on_fatal_signal(int signal) {
    if (crash_restore.load()) ::tcsetattr(crash_fd, TCSANOW, &crash_modes);
    // The handler was for once (SA_RESETHAND): this time the signal does what it always did.
    ::raise(signal);
}

void catch_fatal_signals() {
    struct sigaction action{};
    action.sa_handler = on_fatal_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (const int signal : kFatalSignals)
        ::sigaction(signal, &action, nullptr);
}

}  // namespace

Terminal::Terminal(int fd) : fd_(fd) {
    is_terminal_ = fd >= 0 && ::tcgetattr(fd, &saved_) == 0;
    if (!is_terminal_) return;
    crash_modes = saved_;
    crash_fd = fd;
    catch_fatal_signals();
}

Terminal::~Terminal() {
    restore();
}

bool Terminal::in_background() const {
    const pid_t foreground = ::tcgetpgrp(fd_);
    return foreground >= 0 && foreground != ::getpgrp();
}

bool Terminal::claim() {
    if (!is_terminal_) return true;
    const std::lock_guard lock(mutex_);
    if (suspended_) return false;
    if (in_background()) {
        raw_ = false;  // whoever is in the foreground has its own modes now
        crash_restore = false;
        set_log_raw_terminal(false);
        return false;
    }
    if (raw_) return true;
    termios raw = saved_;
    ::cfmakeraw(&raw);
    crash_restore = true;
    raw_ = ::tcsetattr(fd_, TCSANOW, &raw) == 0;
    set_log_raw_terminal(raw_);
    return true;
}

void Terminal::leave_raw() {
    // TCSANOW: the other ways wait for the output, which a stopped terminal never takes.
    if (raw_ && !in_background()) ::tcsetattr(fd_, TCSANOW, &saved_);
    raw_ = false;
    crash_restore = false;
    set_log_raw_terminal(false);
}

void Terminal::suspend() {
    if (!is_terminal_) return;
    const std::lock_guard lock(mutex_);
    leave_raw();
    suspended_ = true;
}

void Terminal::resume() {
    if (!is_terminal_) return;
    {
        const std::lock_guard lock(mutex_);
        suspended_ = false;
        raw_ = false;
    }
    claim();
}

void Terminal::restore() {
    suspend();
}

}  // namespace mote
