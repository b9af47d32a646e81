#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>
#include <string>

#include "base/small_thread.h"

namespace mote {

namespace {

// What may wait for a reader of standard error.
constexpr size_t kMaxWaiting = size_t{16} << 10U;

std::atomic<LogLevel> current_level = LogLevel::warning;
std::atomic<bool> raw_terminal = false;

uint64_t now_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000U +
           static_cast<uint64_t>(now.tv_nsec) / 1000000U;
}

std::string line_end() {
    return raw_terminal.load(std::memory_order_relaxed) ? "\r\n" : "\n";
}

void write_to_standard_error(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<size_t>(written));
        } else if (errno == EAGAIN) {  // somebody else made the description non-blocking
            pollfd descriptor{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
            ::poll(&descriptor, 1, -1);
        } else if (errno != EINTR) {
            return;
        }
    }
}

/// Messages on their way to standard error, and the thread that may block in writing them.
class MessageQueue {
  public:
    void add(std::string_view text) {
        const std::lock_guard lock(mutex_);
        // Where no thread can be had, later messages try again.
        const bool written_by_somebody =
            thread_.running() || thread_.start("log", [this] { write_messages(); });
        if (!written_by_somebody || size_ + text.size() > kMaxWaiting) {
            ++lost_;
            return;
        }
        report_losses();
        append(std::string(text));
        changed_.notify_all();
    }

    bool flush(std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        if (!thread_.running()) return true;
        return changed_.wait_for(lock, limit,
                                 [this] { return waiting_.empty() && lost_ == 0 && !writing_; });
    }

  private:
    void append(std::string text) {
        size_ += text.size();
        waiting_.push_back(std::move(text));
    }

    void report_losses() {
        if (lost_ == 0) return;
        append(fmt::format("mote: warning: {} messages lost{}", lost_, line_end()));
        lost_ = 0;
    }

    void write_messages() {
        std::unique_lock lock(mutex_);
        for (;;) {
            if (waiting_.empty()) report_losses();
            if (waiting_.empty()) {
                changed_.notify_all();
                changed_.wait(lock);
                continue;
            }
            const std::string text = std::move(waiting_.front());
            waiting_.pop_front();
            size_ -= text.size();
            writing_ = true;
            lock.unlock();
            write_to_standard_error(text);
            lock.lock();
            writing_ = false;
        }
    }

    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<std::string> waiting_;
    size_t size_ = 0;  ///< bytes in waiting_
    uint64_t lost_ = 0;
    bool writing_ = false;
    SmallThread thread_;
};

// Never destroyed: its thread may be blocked for good, and ends with the process.
std::atomic<MessageQueue*> message_queue = nullptr;

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
    line += line_end();
    log_text(line);
}

void log_text(std::string_view text) {
    if (MessageQueue* const queue = message_queue.load(std::memory_order_acquire)) {
        queue->add(text);
    } else {
        write_to_standard_error(text);
    }
}

void log_without_waiting() {
    if (message_queue.load() == nullptr) message_queue = new MessageQueue;
}

bool flush_log(std::chrono::milliseconds limit) {
    MessageQueue* const queue = message_queue.load();
    return queue == nullptr || queue->flush(limit);
}

bool LogLimiter::allow() {
    return allow(now_ms());
}

bool LogLimiter::allow(uint64_t now_ms) {
    const uint64_t since = now_ms - period_start_ms_;
    if (since >= period_ms_) {
        const bool flooded = asked_ > burst_ && since < 2 * period_ms_;
        period_ms_ = flooded ? std::min(2 * period_ms_, kLongestPeriodMs) : shortest_ms_;
        period_start_ms_ = now_ms;
        asked_ = 0;
    }
    if (asked_ > burst_) return false;
    return ++asked_ <= burst_;
}

}  // namespace mote
