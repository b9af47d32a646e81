// NetBackend: where a network device's frames come from and go to.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "base/result.h"

namespace mote {

/// The host's end of a network device. A frame travels behind its virtio::NetHeader, in one call
/// each way. Worker's thread; nothing waits. Implementations: Tap, UserNet.
class NetBackend {
  public:
    /// What `gone` looks like: the host's end does not exist any more.
    static constexpr ssize_t kGone = -EBADFD;

    NetBackend() = default;
    NetBackend(const NetBackend&) = delete;
    NetBackend& operator=(const NetBackend&) = delete;
    virtual ~NetBackend() = default;

    /// To be watched: readable where a frame waits, writable where send() may succeed.
    [[nodiscard]] virtual int fd() const = 0;
    /// The offloads that it can do, as virtio-net feature bits. Constant; any thread.
    [[nodiscard]] virtual uint64_t offloads() const = 0;
    /// From now on frames with these offloads may come; all others are done by the host before.
    /// Errors: the host's, EBADFD where the host's end is gone.
    virtual Result<> set_offloads(uint64_t features) = 0;

    /// Puts the next frame into `parts` (at most IOV_MAX); what does not fit is lost, and shows as
    /// a result as large as `parts`. Returns its bytes, or a negative errno: EAGAIN where none
    /// waits.
    virtual ssize_t receive(std::span<const iovec> parts) = 0;
    /// Sends one frame. Returns its bytes, or a negative errno: EAGAIN where the host's end is
    /// full.
    virtual ssize_t send(std::span<const iovec> parts) = 0;
    /// Passes on what send() has taken and could not pass on whole; false where some of it waits
    /// for room still.
    [[nodiscard]] virtual bool flush() { return true; }
};

}  // namespace mote
