// DiskEngine: disk requests that have to wait, off the worker's thread.
#pragma once

#include <cstdint>
#include <functional>

#include "devices/virtio/disk_request.h"

namespace mote {

/// Called and completing on the worker's thread. Implementations: DiskRing, DiskPool.
class DiskEngine {
  public:
    DiskEngine() = default;
    DiskEngine(const DiskEngine&) = delete;
    DiskEngine& operator=(const DiskEngine&) = delete;
    /// Waits for what is in flight.
    virtual ~DiskEngine() = default;

    /// Takes a request, named `tag` (unique among those in flight). It may start at flush() only.
    virtual void submit(uint16_t tag, const DiskRequest& request) = 0;
    /// Starts all that was submitted; false where the host has no room for it now: try again.
    [[nodiscard]] virtual bool flush() = 0;
    /// True where reap() would find something. A look at memory.
    [[nodiscard]] virtual bool ready() const = 0;
    /// Hands out what completed: tag, and 0 or a negative errno.
    virtual void reap(const std::function<void(uint16_t tag, int result)>& completed) = 0;
    /// Readable where something completed: to be watched edge-triggered.
    [[nodiscard]] virtual int event() const = 0;
};

}  // namespace mote
