#include "base/log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "unit/catch.h"

using mote::log_enabled;
using mote::log_message;
using mote::LogLevel;
using mote::LogLimiter;
using mote::UniqueFd;

namespace {

/// Standard error goes into a pipe while this lives.
class StandardErrorCapture {
  public:
    StandardErrorCapture() : saved_(::dup(STDERR_FILENO)) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        reader_.reset(ends[0]);
        ::dup2(ends[1], STDERR_FILENO);
        ::close(ends[1]);
    }
    StandardErrorCapture(const StandardErrorCapture&) = delete;
    StandardErrorCapture& operator=(const StandardErrorCapture&) = delete;
    ~StandardErrorCapture() { restore(); }

    /// Gives standard error back; what was written meanwhile, at most a pipe's worth.
    std::string finish() {
        restore();
        std::string text(65536, '\0');
        const ssize_t count = ::read(reader_.get(), text.data(), text.size());
        text.resize(count > 0 ? static_cast<size_t>(count) : 0);
        return text;
    }

  private:
    void restore() {
        if (!saved_.valid()) return;
        ::dup2(saved_.get(), STDERR_FILENO);
        saved_.reset();
    }
    UniqueFd saved_;
    UniqueFd reader_;
};

}  // namespace

TEST_CASE("log: a line names the program and the level; what is too fine is dropped") {
    StandardErrorCapture capture;
    log_message(LogLevel::error, "disk {}", 1);
    log_message(LogLevel::warning, "disk {}", 2);
    log_message(LogLevel::info, "disk {}", 3);
    log_message(LogLevel::debug, "disk {}", 4);
    CHECK(capture.finish() == "mote: error: disk 1\nmote: warning: disk 2\n");
    CHECK(log_enabled(LogLevel::warning));
    CHECK_FALSE(log_enabled(LogLevel::info));
}

TEST_CASE("log: the level can be raised") {
    mote::set_log_level(LogLevel::info);
    StandardErrorCapture capture;
    log_message(LogLevel::info, "a");
    log_message(LogLevel::debug, "b");
    const std::string text = capture.finish();
    mote::set_log_level(LogLevel::warning);
    CHECK(text == "mote: a\n");
}

TEST_CASE("log: a raw terminal gets a carriage return") {
    mote::set_log_raw_terminal(true);
    StandardErrorCapture capture;
    log_message(LogLevel::error, "a");
    const std::string text = capture.finish();
    mote::set_log_raw_terminal(false);
    CHECK(text == "mote: error: a\r\n");
}

TEST_CASE("LogLimiter: a burst passes, the rest of the period does not") {
    LogLimiter limiter(3, 3'600'000);
    for (int i = 0; i < 3; ++i)
        CHECK(limiter.allow());
    for (int i = 0; i < 100; ++i)
        CHECK_FALSE(limiter.allow());
}

TEST_CASE("LogLimiter: the next period has a burst of its own") {
    LogLimiter limiter(1, 20);
    CHECK(limiter.allow());
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    CHECK(limiter.allow());
}
