// SmallThread: a thread with a small stack; all of mote's threads are.
//
// The C library's 8 MiB of stack would become a huge page of 2 MiB each, zeroed at its first touch.
#pragma once

#include <pthread.h>

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace mote {

/// A joining thread. Inherits the signal mask of its maker.
class SmallThread {
  public:
    SmallThread() = default;
    SmallThread(const SmallThread&) = delete;
    SmallThread& operator=(const SmallThread&) = delete;
    /// Waits until the body has returned.
    ~SmallThread();

    /// Waits until the body has returned; nothing where there is no thread (any more).
    void join();
    [[nodiscard]] bool running() const { return started_; }
    /// pthread_kill(3), before join(). Any thread.
    void signal(int number) const;

    /// Runs `body` on the new thread, which shows up as `name` (at most 15 characters) in ps.
    /// Once. Errors: EAGAIN.
    Result<> start(std::string name, std::function<void()> body);

  private:
    struct Work {
        std::string name;
        std::function<void()> body;
    };
    static void* run(void* work);

    std::unique_ptr<Work> work_;
    pthread_t thread_{};
    bool started_ = false;
};

}  // namespace mote
