// DiskRing: disk requests by io_uring(7).
#pragma once

#include <liburing.h>

#include <memory>

#include "base/event_fd.h"
#include "base/result.h"
#include "devices/virtio/disk_engine.h"
#include "devices/virtio/disk_file.h"

namespace mote {

/// A ring that can do nothing but read, write and sync one registered file (seccomp does not see
/// what a ring does). It takes reads, writes and flushes; a result of kTakeOver means that the
/// request is to be done, from its beginning, by DiskFile::run().
class DiskRing final : public DiskEngine {
  public:
    static constexpr int kTakeOver = 1;

    /// `file` outlives the ring. At most `depth` requests are in flight. Errors: EPERM, ENOSYS
    /// where the host forbids or lacks io_uring; ENOMEM, EMFILE, EINVAL (older than Linux 5.10).
    static Result<std::unique_ptr<DiskRing>> create(const DiskFile& file, uint16_t depth);
    ~DiskRing() override;

    void submit(uint16_t tag, const DiskRequest& request) override;
    [[nodiscard]] bool flush() override;
    [[nodiscard]] bool ready() const override;
    void reap(const std::function<void(uint16_t tag, int result)>& completed) override;
    [[nodiscard]] int event() const override { return event_.fd(); }

  private:
    explicit DiskRing(EventFd event) : event_(std::move(event)) {}
    Result<> set_up(int fd, uint16_t depth);
    int restrict_ring();

    const EventFd event_;
    io_uring ring_{};
    bool live_ = false;
    unsigned unsent_ = 0;
    unsigned in_flight_ = 0;
};

}  // namespace mote
