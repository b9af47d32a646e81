// FrameFilter: a service of the host's that talks to a guest on its network device, in front of
// the outside world.
#pragma once

#include <cstddef>
#include <span>

namespace mote {

/// Consulted for each frame of the guest, and asked for frames to it. Frames are Ethernet's,
/// without the virtio header. Worker's thread; nothing may wait.
///
/// It diverts, it does not guard: a guest that changes a frame between wants() and the sending
/// decides itself where it goes.
class FrameFilter {
  public:
    /// What wants() gets to see: enough for Ethernet, IPv4 with all options it can have and UDP; or
    /// IPv6 and TCP without options.
    static constexpr size_t kHead = 82;

    FrameFilter() = default;
    FrameFilter(const FrameFilter&) = delete;
    FrameFilter& operator=(const FrameFilter&) = delete;
    virtual ~FrameFilter() = default;

    /// True where the frame that begins with `head` (a copy, up to kHead bytes) goes to take() and
    /// no further.
    [[nodiscard]] virtual bool wants(std::span<const std::byte> head) = 0;
    /// The whole frame, a copy made anew: to be checked again.
    virtual void take(std::span<const std::byte> frame) = 0;
    /// The next frame for the guest, written to `room` (64 KiB); its size, or 0 where there is
    /// none. Asked after each take(), and when the guest has room again.
    virtual size_t next(std::span<std::byte> room) = 0;
};

}  // namespace mote
