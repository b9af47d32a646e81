// EventLoop: file descriptors, posted work and nothing else, on one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/event_fd.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// An epoll(7) loop that one thread runs. post() and stop() may be called from any thread;
/// everything else from the loop's own thread, or before run().
class EventLoop {
  public:
    /// Receives the epoll events (EPOLLIN, ...) that were seen.
    using Handler = std::function<void(uint32_t events)>;
    using Task = std::function<void()>;

    /// Errors: EMFILE, ENFILE, ENOMEM.
    static Result<std::unique_ptr<EventLoop>> create();

    /// Watches `fd` (level-triggered unless `events` holds EPOLLET) until remove(fd). The caller
    /// keeps `fd` open as long. Errors: EEXIST where it is watched already, EPERM for a file that
    /// epoll does not take (a regular file), ENOMEM, ENOSPC.
    Result<> add(int fd, uint32_t events, Handler handler);
    /// Changes the events that `fd` is watched for.
    Result<> modify(int fd, uint32_t events);
    /// Stops watching; a handler may remove its own or another descriptor.
    void remove(int fd);

    /// Runs `task` on the loop's thread, after those posted before it.
    void post(Task task);
    /// post(), and waits until it has run. Not from the loop's own thread.
    void post_and_wait(const Task& task);

    /// Runs `task` once the events that are known by now have been handled, before the loop waits
    /// again. Costs no system call; loop's thread.
    void defer(Task task) { deferred_.push_back(std::move(task)); }

    /// Serves until stop(). Tasks that are still posted then are run before it returns.
    void run();
    void stop();

    /// True where a watched descriptor is ready or a task is posted: lets a handler that polls for
    /// more work of its own see that others wait. One system call; loop's thread.
    [[nodiscard]] bool others_wait() const;

  private:
    struct Watch {
        Handler handler;
    };

    EventLoop(UniqueFd epoll, EventFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
    void run_posted();
    void run_deferred();
    void dispatch(int fd, uint32_t events);

    UniqueFd epoll_;
    EventFd wake_;
    std::unordered_map<int, std::shared_ptr<Watch>> watches_;
    std::mutex mutex_;
    std::vector<Task> posted_;
    std::vector<Task> deferred_;
    std::vector<Task> deferred_now_;  ///< empty between batches; kept for its memory
    bool stopping_ = false;
};

}  // namespace mote
