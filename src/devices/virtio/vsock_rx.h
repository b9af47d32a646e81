// VsockRx: the buffers that the driver offers for packets to the guest.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "devices/virtio/queue.h"
#include "devices/virtio/vsock_protocol.h"

namespace mote {

/// Fills the buffers of the receive queue in the order the driver made them available. Data goes
/// into them straight from a system call: gather() gives room, fill() says how much of it was used.
/// Worker's thread.
class VsockRx {
  public:
    /// The most data and buffers that one gather() gives.
    static constexpr size_t kMaxBytes = size_t{256} << 10U;
    static constexpr size_t kMaxParts = 256;

    struct Room {
        std::span<iovec> parts;  ///< good until fill()
        size_t bytes = 0;
    };

    /// Null: forget the queue, which is closed.
    void attach(Queue* queue);

    /// True where there is a buffer for a packet.
    bool available();
    /// Sends a packet without data. Only while available().
    void send(const virtio::VsockHeader& header);
    /// Room for up to `limit` bytes of data (not 0) in one packet or several. Only while
    /// available(); never empty.
    Room gather(size_t limit);
    /// Sends the first `bytes` bytes of the room last gathered; `header` goes before each packet,
    /// with its own length.
    void fill(virtio::VsockHeader header, size_t bytes);
    /// Shows the driver what was sent; true where it wants an interrupt.
    [[nodiscard]] bool publish() { return queue_->publish(); }
    /// Asks for a notification of new buffers; true where there are some already.
    [[nodiscard]] bool enable_notifications() { return queue_->enable_notifications(); }

  private:
    static size_t room_of(const Chain& chain);
    /// Takes one more buffer from the queue; false where there is none.
    bool take();

    Queue* queue_ = nullptr;
    std::deque<Chain> chains_;  ///< taken from the queue, not yet filled
    std::vector<iovec> parts_;
};

}  // namespace mote
