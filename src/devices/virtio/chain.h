// Chain: one request of the driver, taken from a queue and owed back to it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace mote {

class Queue;

/// Guest memory as host ranges, in the order of a chain's descriptors, consumed from the front.
struct BufferList {
    std::vector<iovec> parts;
    size_t first = 0;    ///< parts before this one are consumed
    uint64_t bytes = 0;  ///< not yet consumed

    [[nodiscard]] std::span<const iovec> rest() const { return std::span(parts).subspan(first); }
    void clear() noexcept {
        parts.clear();
        first = 0;
        bytes = 0;
    }
};

/// What a chain refers to. A queue has one of these for each possible head and reuses it, so that
/// requests allocate nothing.
struct ChainBuffers {
    BufferList readable;  ///< by the device
    BufferList writable;  ///< by the device
    bool in_flight = false;
};

/// A checked copy of a descriptor chain, and the duty to give it back by Queue::complete() or
/// Queue::reject(). Only once its queue is closed or broken may a chain be dropped. Move-only.
/// Used on the device's worker thread; its parts may be handed to a system call on any thread
/// while the chain is held.
class Chain {
  public:
    Chain(Chain&& other) noexcept
        : queue_(std::exchange(other.queue_, nullptr)),
          buffers_(other.buffers_),
          head_(other.head_) {}
    Chain& operator=(Chain&& other) noexcept {
        std::swap(queue_, other.queue_);
        std::swap(buffers_, other.buffers_);
        std::swap(head_, other.head_);
        return *this;
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;
    ~Chain();

    /// The index of its first descriptor: names it among the chains in flight.
    [[nodiscard]] uint16_t head() const { return head_; }

    /// Bytes left to read and to write, and where they lie.
    [[nodiscard]] uint64_t readable() const { return buffers_->readable.bytes; }
    [[nodiscard]] uint64_t writable() const { return buffers_->writable.bytes; }
    [[nodiscard]] std::span<const iovec> readable_parts() const {
        return buffers_->readable.rest();
    }
    [[nodiscard]] std::span<const iovec> writable_parts() const {
        return buffers_->writable.rest();
    }

    /// Copies the next readable bytes; false, with nothing consumed, where there are too few.
    bool read(std::span<std::byte> out);
    /// Fills the next writable bytes; false, with nothing consumed, where there is no room.
    bool write(std::span<const std::byte> data);
    /// Takes the last writable byte away (where many devices put their status): its place in guest
    /// memory, good while the chain is held, or null where nothing is writable.
    [[nodiscard]] std::byte* take_last_writable();

  private:
    friend class Queue;
    Chain(Queue& queue, ChainBuffers& buffers, uint16_t head) noexcept
        : queue_(&queue), buffers_(&buffers), head_(head) {}

    Queue* queue_;
    ChainBuffers* buffers_;
    uint16_t head_;
};

}  // namespace mote
