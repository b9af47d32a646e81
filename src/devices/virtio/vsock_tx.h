// VsockTx: packets of the guest, checked, and runs of data for one connection put together.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/virtio/queue.h"
#include "devices/virtio/vsock_protocol.h"

namespace mote {

/// Takes packets from the transmit queue. Data packets that follow one another for the same ports
/// are kept, up to a bound, so that one system call can take them all. Worker's thread.
class VsockTx {
  public:
    static constexpr size_t kMaxBytes = size_t{256} << 10U;
    static constexpr size_t kMaxParts = 256;

    /// Null: forget the queue, which is closed.
    void attach(Queue* queue);

    /// The next packet's header, or nothing: the queue is empty, or broken by what it holds. Its
    /// data is looked at by keep() or drop() next.
    std::optional<virtio::VsockHeader> next();
    /// The packet's data joins the run.
    void keep();
    /// The packet is done with.
    void drop();

    /// The run: its data, and its packets given back.
    [[nodiscard]] std::span<const iovec> run() const { return parts_; }
    [[nodiscard]] size_t run_bytes() const { return bytes_; }
    [[nodiscard]] bool run_full() const {
        return bytes_ >= kMaxBytes || parts_.size() >= kMaxParts;
    }
    void finish_run();

    [[nodiscard]] bool publish() { return queue_->publish(); }

  private:
    Queue* queue_ = nullptr;
    std::optional<Chain> chain_;  ///< the packet next() told of
    uint32_t length_ = 0;         ///< of its data
    std::vector<Chain> run_;
    std::vector<iovec> parts_;
    size_t bytes_ = 0;
};

}  // namespace mote
