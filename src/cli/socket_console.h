// SocketConsole: the console on a Unix socket, one client at a time.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>

#include "base/small_thread.h"
#include "base/unique_fd.h"
#include "cli/console.h"
#include "cli/input_queue.h"

namespace mote {

/// A client sees the latest output that nobody has seen, up to the buffer's size, then what
/// comes; what it sends is typed. A second client is told that the console is taken. Bytes pass
/// as they are: no key is mote's own.
class SocketConsole final : public Console {
  public:
    SocketConsole(ConsoleParts parts, std::string path)
        : Console(std::move(parts)), path_(std::move(path)) {}
    SocketConsole(const SocketConsole&) = delete;
    SocketConsole& operator=(const SocketConsole&) = delete;
    ~SocketConsole() override;

    Result<> open() override;
    Result<> start_input(ConsoleInput& input) override;
    uint64_t finish(std::chrono::milliseconds limit) override;

  private:
    void serve();
    /// One wait and what it brings; false once finishing and nothing is left to send.
    bool serve_once(InputQueue& queue);
    void accept_client();
    void drop_client();
    void send_output();
    void serve_client(short events, bool takes_input, InputQueue& queue);
    void receive(bool hung_up, InputQueue& queue);

    const std::string path_;
    UniqueFd listener_;
    ino_t inode_ = 0;           ///< of the socket's path: what is there at the end may be another's
    UniqueFd client_;           // the thread's
    bool input_ended_ = false;  // the thread's
    std::atomic<ConsoleInput*> port_ = nullptr;
    std::atomic<bool> finishing_ = false;
    std::atomic<bool> abandoned_ = false;
    std::mutex mutex_;  // guards running_
    std::condition_variable ended_;
    bool running_ = false;
    SmallThread thread_;
};

}  // namespace mote
