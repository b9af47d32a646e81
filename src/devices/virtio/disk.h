// Disk: requests to one file, each by the quickest way that does not block the worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "devices/virtio/disk_engine.h"
#include "devices/virtio/disk_file.h"

namespace mote {

/// Which ways are taken. `automatic` is right; the others serve tests and hosts with odd needs.
enum class DiskEngineChoice : uint8_t {
    automatic,  ///< page cache, io_uring, threads where io_uring is forbidden
    ring,       ///< never the page cache directly
    pool,       ///< threads only
};

/// What the page cache has (or takes) is done at once; all else by io_uring, and by threads what
/// that cannot do. Both are made when a request first needs them: a machine's start pays nothing.
/// Everything is called, and completes, on the worker's thread.
class Disk {
  public:
    /// Result: 0 or a negative errno.
    using OnComplete = std::function<void(uint16_t tag, int result)>;

    /// At most `depth` requests are in flight, with tags below it. `completed` is called by reap();
    /// `wake`, on `loop`, where reap() has work.
    Disk(DiskFile file, DiskEngineChoice choice, uint16_t depth, OnComplete completed);
    /// Waits for what is in flight, without completing it.
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    /// From now on `wake` is called on `loop`'s thread when something completed.
    void attach(EventLoop& loop, std::function<void()> wake);

    [[nodiscard]] uint32_t block_size() const { return file_.block_size(); }

    /// Does `request` at once, and returns its result; or takes it on, to complete later as `tag`.
    /// It may start at flush() only.
    std::optional<int> start(uint16_t tag, const DiskRequest& request);
    void flush();
    [[nodiscard]] bool ready() const;
    void reap();
    [[nodiscard]] unsigned in_flight() const { return in_flight_; }
    /// Blocks until nothing is in flight; `completed` is called for each.
    void wait_idle();

  private:
    void take_on(uint16_t tag, const DiskRequest& request);
    /// The pool, made where there is none yet; null where that fails.
    DiskEngine* pool();
    DiskEngine* ring();
    void watch(DiskEngine& engine);
    void complete(uint16_t tag, int result);
    void fail_later(uint16_t tag, int result);

    struct Failure {
        uint16_t tag;
        int result;
    };

    DiskFile file_;
    const DiskEngineChoice choice_;
    const uint16_t depth_;
    const OnComplete completed_;
    EventLoop* loop_ = nullptr;
    std::function<void()> wake_;
    bool ring_failed_ = false;
    bool retrying_ = false;
    unsigned in_flight_ = 0;
    std::vector<DiskRequest> requests_;  ///< by tag, of those in flight
    std::vector<Failure> failures_;      ///< that no engine could take on
    std::unique_ptr<DiskEngine> ring_;
    std::unique_ptr<DiskEngine> pool_;
};

}  // namespace mote
