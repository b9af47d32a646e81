// StreamConsole: the console on standard input and output, or in a file.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "base/small_thread.h"
#include "base/unique_fd.h"
#include "cli/console.h"
#include "cli/escape_filter.h"
#include "cli/input_queue.h"
#include "cli/terminal.h"

namespace mote {

/// One thread writes, and may block in it: on a stopped terminal, a full pipe, a slow disk. One
/// thread reads. The descriptors are inherited, so they are never set non-blocking: their other
/// holders would see it.
class StreamConsole final : public Console {
  public:
    /// On two open descriptors, which stay the caller's.
    StreamConsole(ConsoleParts parts, int input_fd, int output_fd)
        : Console(std::move(parts)),
          input_fd_(input_fd),
          output_fd_(output_fd),
          terminal_(input_fd) {}
    /// In a file, without input.
    StreamConsole(ConsoleParts parts, std::string path)
        : Console(std::move(parts)), path_(std::move(path)), terminal_(-1) {}
    StreamConsole(const StreamConsole&) = delete;
    StreamConsole& operator=(const StreamConsole&) = delete;
    /// Waits for both threads: for a blocked write as long as it takes.
    ~StreamConsole() override;

    Result<> open() override;
    Result<> start_input(ConsoleInput& input) override;
    void suspend() override { terminal_.suspend(); }
    void resume() override;
    bool leaves_line_open() override;
    uint64_t finish(std::chrono::milliseconds limit) override;

  private:
    Result<> open_file();

    void write_output();
    /// Writes some of `bytes` and says how many are done with.
    size_t write_some(std::span<const std::byte> bytes);
    /// The same after a write that failed with `code`.
    size_t write_failed(int code, size_t size);
    /// Waits for write_output() to end; false where `limit` was over first.
    bool wait_until_drained(std::chrono::milliseconds limit);

    void read_input(ConsoleInput& port);
    /// Waits for something to read where the input is `open`, or that there is room for what was
    /// read; true for the first.
    bool wait_for_input(bool open, const InputQueue& queue);
    /// One read; false at the end of input.
    bool read_some(InputQueue& queue);
    bool read_failed(ssize_t got, int code);
    void act(EscapeAction action);

    const std::string path_;
    UniqueFd file_;
    const int input_fd_ = -1;  ///< -1: there is no input
    int output_fd_ = -1;
    Terminal terminal_;
    EscapeFilter escapes_;
    std::vector<std::byte> to_guest_;
    std::atomic<bool> finishing_ = false;
    bool output_failed_ = false;  // the output thread's
    std::mutex mutex_;            // guards output_running_
    std::condition_variable output_ended_;
    bool output_running_ = false;
    SmallThread output_thread_;
    SmallThread input_thread_;
};

}  // namespace mote
