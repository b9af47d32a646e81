// DiskPool: disk requests on a few threads, for what io_uring cannot do and hosts that forbid it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/event_fd.h"
#include "base/result.h"
#include "base/small_thread.h"
#include "devices/virtio/disk_engine.h"
#include "devices/virtio/disk_file.h"

namespace mote {

/// Threads start when there is work and none is idle, up to kMaxThreads.
class DiskPool final : public DiskEngine {
  public:
    static constexpr size_t kMaxThreads = 4;

    /// `file` outlives the pool. Errors: EMFILE, ENFILE, ENOMEM.
    static Result<std::unique_ptr<DiskPool>> create(const DiskFile& file);
    ~DiskPool() override;

    void submit(uint16_t tag, const DiskRequest& request) override;
    [[nodiscard]] bool flush() override { return true; }
    [[nodiscard]] bool ready() const override;
    void reap(const std::function<void(uint16_t tag, int result)>& completed) override;
    [[nodiscard]] int event() const override { return event_.fd(); }

  private:
    struct Job {
        uint16_t tag;
        DiskRequest request;
    };
    struct Done {
        uint16_t tag;
        int result;
    };

    DiskPool(const DiskFile& file, EventFd event) : file_(file), event_(std::move(event)) {}
    void work();

    const DiskFile& file_;
    const EventFd event_;
    mutable std::mutex mutex_;
    std::condition_variable jobs_changed_;
    std::deque<Job> jobs_;
    std::vector<Done> done_;
    std::vector<Done> reaped_;  ///< reap()'s, kept for its memory
    std::atomic<bool> any_done_ = false;
    size_t idle_ = 0;
    bool stopping_ = false;
    std::deque<SmallThread> threads_;
};

}  // namespace mote
