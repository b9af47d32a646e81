// EventFd: a wake-up or an interrupt line that crosses threads, KVM and processes.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// An eventfd(2) in non-blocking mode. As an irqfd it is a device's interrupt line, as an
/// ioeventfd a guest's doorbell. All methods may be called from any thread.
class EventFd {
  public:
    EventFd() = default;

    /// Errors: EMFILE, ENFILE, ENOMEM.
    static Result<EventFd> create();

    /// Adds 1. Never blocks (a counter at its maximum is as good as signalled).
    void signal() const noexcept;
    /// Takes the whole count; false where there was none.
    bool consume() const noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  private:
    explicit EventFd(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace mote
