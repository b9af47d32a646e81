// What the tests of consoles share: a serial port that records, pipes, a pseudo terminal.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "catch.h"
#include "cli/bytes.h"
#include "devices/console_io.h"

namespace mote {

/// Polls until `condition` holds; false after 5 s.
inline bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 500; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return condition();
}

/// A serial port with room for `room` bytes.
class RecordingPort final : public ConsoleInput {
  public:
    explicit RecordingPort(size_t room = SIZE_MAX) : room_(room) {}
    size_t push(std::span<const std::byte> bytes) noexcept override {
        const std::lock_guard lock(mutex_);
        const size_t taken = std::min(bytes.size(), room_);
        room_ -= taken;
        text_ += text_of(bytes.first(taken));
        return taken;
    }
    void on_room(std::function<void()> tell) override { tell_ = std::move(tell); }
    void make_room(size_t count) {
        {
            const std::lock_guard lock(mutex_);
            room_ += count;
        }
        if (tell_) tell_();
    }
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

  private:
    std::function<void()> tell_;
    std::mutex mutex_;
    size_t room_;
    std::string text_;
};

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;
    Pipe() {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        reader.reset(ends[0]);
        writer.reset(ends[1]);
    }
};

struct Pty {
    UniqueFd master;
    UniqueFd slave;
    Pty() {
        int master_fd = -1;
        int slave_fd = -1;
        REQUIRE(::openpty(&master_fd, &slave_fd, nullptr, nullptr, nullptr) == 0);
        master.reset(master_fd);
        slave.reset(slave_fd);
    }
    [[nodiscard]] bool is_raw() const {
        termios modes{};
        return ::tcgetattr(slave.get(), &modes) == 0 && (modes.c_lflag & ICANON) == 0U;
    }
};

inline void put(const UniqueFd& fd, std::string_view text) {
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// Reads until `count` bytes have come, or nothing has for 5 s.
inline std::string get(const UniqueFd& fd, size_t count) {
    std::string text;
    while (text.size() < count) {
        pollfd descriptor{.fd = fd.get(), .events = POLLIN, .revents = 0};
        if (::poll(&descriptor, 1, 5000) <= 0) break;
        std::array<char, 4096> bytes;
        const ssize_t got =
            ::read(fd.get(), bytes.data(), std::min(bytes.size(), count - text.size()));
        if (got <= 0) break;
        text.append(bytes.data(), static_cast<size_t>(got));
    }
    return text;
}

}  // namespace mote
