#include "base/log.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <sstream>
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

namespace {

constexpr int kFloodOfMessages = 1000;

/// In a process of its own, as there is no way back: logs into a full pipe, says so, and waits for
/// its reader. The status is 0 if each wait ended as it should.
[[noreturn]] void flood(int standard_error, int done) {
    ::dup2(standard_error, STDERR_FILENO);
    ::close(standard_error);
    mote::log_without_waiting();
    for (int i = 0; i < kFloodOfMessages; ++i)
        log_message(LogLevel::warning, "message number {:040}", i);
    const bool early = mote::flush_log(std::chrono::milliseconds(50));
    const bool told = ::write(done, "x", 1) == 1;
    const bool late = mote::flush_log(std::chrono::seconds(10));
    ::_exit(!early && told && late ? 0 : 1);
}

}  // namespace

TEST_CASE("log: a reader that does not read holds up nobody, and is told what it lost") {
    std::array<int, 2> messages{};
    std::array<int, 2> done{};
    REQUIRE(::pipe(messages.data()) == 0);
    REQUIRE(::pipe(done.data()) == 0);
    REQUIRE(::fcntl(messages[1], F_SETPIPE_SZ, 4096) == 4096);
    const pid_t child = ::fork();
    if (child == 0) flood(messages[1], done[1]);
    ::close(messages[1]);
    ::close(done[1]);
    char byte = 0;
    CHECK(::read(done[0], &byte, 1) == 1);  // nothing is read before all is logged
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t got = 0; (got = ::read(messages[0], part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<size_t>(got));
    int status = -1;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    ::close(messages[0]);
    ::close(done[0]);
    // What is lost before the log's thread has begun is told on a line of its own.
    int written = 0;
    int lost = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        int count = 0;
        if (std::sscanf(line.c_str(), "mote: warning: %d messages lost", &count) == 1)
            lost += count;
        else
            ++written;
    }
    CHECK(written > 100);
    CHECK(lost > 100);
    CHECK(written + lost == kFloodOfMessages);
    CHECK(text.ends_with(" messages lost\n"));
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
    CHECK(limiter.allow(1'000'000));
    CHECK_FALSE(limiter.allow(1'000'019));
    CHECK(limiter.allow(1'000'020));
}

TEST_CASE("LogLimiter: a flood without end gets a burst an hour in the end") {
    LogLimiter limiter(5, 1000);
    uint64_t allowed = 0;
    constexpr uint64_t kDayMs = 24 * LogLimiter::kLongestPeriodMs;
    for (uint64_t now = 1; now < kDayMs; now += 50)
        allowed += limiter.allow(now) ? 1 : 0;
    CHECK(allowed < 5 * (24 + 13));  // 13 periods on the way from a second to an hour
    CHECK(allowed > 5 * 24);

    // Quiet for a period, and all is as at first.
    const uint64_t later = kDayMs + 2 * LogLimiter::kLongestPeriodMs;
    for (int i = 0; i < 5; ++i)
        CHECK(limiter.allow(later));
    CHECK_FALSE(limiter.allow(later));
    CHECK(limiter.allow(later + 1000));
}
