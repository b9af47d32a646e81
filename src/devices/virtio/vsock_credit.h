// VsockCredit: how much each side of a connection may send (virtio 1.2, 5.10.6.3).
#pragma once

#include <cstdint>

#include "devices/virtio/vsock_protocol.h"

namespace mote {

/// Counts the bytes of one connection in both directions. All counters wrap at 2^32, as those of
/// the protocol do.
class VsockCredit {
  public:
    /// `window`: bytes that the guest may have sent and the host's socket not yet taken.
    explicit VsockCredit(uint32_t window) : window_(window) {}

    /// The guest sent `bytes`; false where it was not allowed to.
    [[nodiscard]] bool received(uint64_t bytes) {
        if (bytes > window_ - (received_ - told_)) return false;
        received_ += static_cast<uint32_t>(bytes);
        return true;
    }
    /// `bytes` of them left for the host's socket, or nowhere.
    void forwarded(size_t bytes) { forwarded_ += static_cast<uint32_t>(bytes); }
    /// True where the guest should hear of it: half of the window is free again and it cannot know.
    [[nodiscard]] bool update_due() const { return forwarded_ - told_ >= window_ / 2; }

    /// What the guest says of itself in each packet; false where it claims to have forwarded what
    /// was never sent to it. An older count than the last is a packet overtaken by another.
    [[nodiscard]] bool update(const virtio::VsockHeader& header) {
        const uint32_t count = header.forwarded;
        if (sent_ - count > uint32_t{INT32_MAX}) return false;
        guest_buffer_ = header.buffer_size;
        if (sent_ - count < sent_ - guest_forwarded_) guest_forwarded_ = count;
        return true;
    }
    /// Bytes that may be sent to the guest now.
    [[nodiscard]] uint32_t available() const {
        const uint32_t waiting = sent_ - guest_forwarded_;
        return guest_buffer_ > waiting ? guest_buffer_ - waiting : 0;
    }
    void sent(size_t bytes) { sent_ += static_cast<uint32_t>(bytes); }

    /// Tells the guest, by a header that is on its way.
    void tell(virtio::VsockHeader& header) {
        told_ = forwarded_;
        header.buffer_size = window_;
        header.forwarded = forwarded_;
    }

  private:
    uint32_t window_;
    uint32_t received_ = 0;
    uint32_t forwarded_ = 0;
    uint32_t told_ = 0;  ///< what the guest knows of forwarded_
    uint32_t sent_ = 0;
    uint32_t guest_buffer_ = 0;
    uint32_t guest_forwarded_ = 0;
};

}  // namespace mote
