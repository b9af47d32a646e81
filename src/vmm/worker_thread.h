// WorkerThread: runs the event loop that devices live on.
#pragma once

#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/small_thread.h"

namespace mote {

/// Runs `loop` on a thread of its own from start() to destruction, which
/// joins it. The loop outlives it; so do the devices on it.
class WorkerThread {
  public:
    /// `name`: at most 15 characters, as tools such as top(1) show it. Errors: EAGAIN.
    static Result<std::unique_ptr<WorkerThread>> start(EventLoop& loop, std::string name);
    ~WorkerThread();
    WorkerThread(const WorkerThread&) = delete;
    WorkerThread& operator=(const WorkerThread&) = delete;

  private:
    explicit WorkerThread(EventLoop& loop) : loop_(loop) {}

    EventLoop& loop_;
    SmallThread thread_;
};

}  // namespace mote
