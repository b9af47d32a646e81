// ReceiveBuffers: the driver's empty buffers as one row of host ranges, which a readv fills.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "devices/virtio/queue.h"

namespace mote {

/// Chains are taken from the receive queue ahead, since how many a frame needs is known only once
/// it is there, and go back in their order. Nothing is allocated once the queue has been full. A
/// device's worker thread.
class ReceiveBuffers {
  public:
    /// `mergeable`: a frame may take several chains (virtio 1.2, 5.1.6.4); else each takes one.
    ReceiveBuffers(Queue& queue, bool mergeable);

    /// Takes chains until there is room for `bytes` or no more are available. A chain that is no
    /// receive buffer breaks the queue.
    void gather(uint64_t bytes);

    /// The largest frame, with its header, that can be put() or give()n now.
    [[nodiscard]] uint64_t room() const;
    /// Where the next frame goes. With one chain to a frame there is one byte behind its room(): a
    /// frame that reaches it is too long.
    [[nodiscard]] std::span<const iovec> parts() const;

    /// `size` bytes (at least a header, at most room()) were put into parts(): completes the chains
    /// they take, as one frame.
    void give(uint64_t size);
    /// Copies a frame with its header, of at most room() bytes, and gives it.
    void put(std::span<const std::byte> frame);

  private:
    struct Held {
        Chain chain;
        uint64_t bytes;
        size_t parts;  ///< in the row, the byte behind included
    };

    void add(Chain chain);
    [[nodiscard]] Held& front() { return *held_[first_]; }

    Queue& queue_;
    const bool mergeable_;
    std::byte behind_{};                     ///< the byte behind; never read
    std::vector<std::optional<Held>> held_;  ///< a ring of the queue's size
    size_t first_ = 0;
    size_t count_ = 0;
    uint64_t bytes_ = 0;  ///< of all held
    std::vector<iovec> row_;
    size_t row_first_ = 0;  ///< parts before this one are given back
};

}  // namespace mote
