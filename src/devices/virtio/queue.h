// Queue: the device's side of one split virtqueue (virtio 1.2, 2.7).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "devices/virtio/chain.h"
#include "devices/virtio/protocol.h"
#include "devices/virtio/queue_config.h"
#include "memory/guest_memory.h"

namespace mote {

/// A queue whose place and size were checked once and cannot change any more. Everything is called
/// on the device's worker thread.
///
/// What the driver writes is never trusted: an index out of range, a loop, a buffer outside RAM, a
/// head that is in flight already break the queue. A broken queue says so once, to `on_broken`, and
/// then gives out and publishes nothing more until the driver resets the device.
class Queue {
  public:
    /// Told why the queue broke; called inside pop() or reject().
    using OnBroken = std::function<void(std::string_view why)>;

    /// The most descriptors of one chain, whatever the queue's size: an indirect table may be
    /// longer than the ring of a driver that made its ring small.
    static constexpr uint16_t kMaxChain = 256;

    /// Checks `config`: the size is a power of two up to what was offered, all parts are aligned
    /// (2.7) and lie in RAM. `features` are those agreed on. `memory` outlives the queue.
    /// Errors: the rule that was broken.
    static Result<std::unique_ptr<Queue>> create(const QueueConfig& config,
                                                 const GuestMemory& memory, uint64_t features,
                                                 OnBroken on_broken);

    /// The next chain that the driver made available, or nothing.
    std::optional<Chain> pop();
    /// True where pop() has something to look at.
    [[nodiscard]] bool has_work() const;

    /// Gives `chain` back with `written` bytes in its writable buffers. The driver sees it after
    /// publish().
    void complete(Chain chain, uint32_t written);
    /// Undoes the last pop(): the next one finds the chain again, and looks at it anew.
    void put_back(Chain chain);
    /// Gives back a chain that no request of this device looks like, and breaks the queue.
    void reject(Chain chain, std::string_view why);
    /// Shows the driver all that was completed; true where it wants an interrupt for that.
    [[nodiscard]] bool publish();

    /// Asks the driver for a notification when it adds the next chain. True where one came in
    /// meanwhile: serve it before sleeping.
    [[nodiscard]] bool enable_notifications();
    /// Tells the driver that the device looks by itself. A hint: it may notify all the same.
    void disable_notifications();

    /// From now on chains may be dropped, and none is given out or published: the driver resets.
    void close() { closed_ = true; }

    [[nodiscard]] bool broken() const { return broken_; }
    [[nodiscard]] uint16_t size() const { return size_; }
    // Where its parts are, for who lets another process serve it.
    [[nodiscard]] GuestAddress descriptors() const { return descriptors_; }
    [[nodiscard]] GuestAddress available_ring() const { return available_ring_; }
    [[nodiscard]] GuestAddress used_ring() const { return used_ring_; }
    /// Chains given out and not given back; at most size().
    [[nodiscard]] uint16_t in_flight() const { return in_flight_; }

  private:
    friend class Chain;
    using Index = std::atomic_ref<uint16_t>;
    struct Indices {
        Index available_flags, available, used_event, used_flags, used, available_event;
    };

    Queue(const QueueConfig& config, const GuestMemory& memory, uint64_t features,
          const Indices& indices, OnBroken on_broken);
    static Result<Indices> find_indices(const QueueConfig& config, const GuestMemory& memory);

    bool walk(uint16_t head, ChainBuffers& buffers);
    bool enter_indirect(const virtio::Descriptor& descriptor, GuestAddress& table,
                        uint32_t& length);
    bool add_buffer(const virtio::Descriptor& descriptor, ChainBuffers& buffers);
    void abandon(const Chain& chain);
    void release(const Chain& chain);
    /// Breaks the queue; always false.
    bool fail_queue(std::string_view why);

    const GuestMemory& memory_;
    const GuestAddress descriptors_;
    const GuestAddress available_ring_;
    const GuestAddress used_ring_;
    Indices indices_;
    const uint16_t size_;
    const bool event_index_;
    const bool indirect_;
    bool broken_ = false;
    bool closed_ = false;
    uint16_t next_available_ = 0;  ///< the next entry of the available ring to look at
    uint16_t next_used_ = 0;       ///< the next entry of the used ring to fill
    uint16_t published_ = 0;       ///< the used index that the driver sees
    uint16_t in_flight_ = 0;
    std::vector<ChainBuffers> buffers_;  ///< by head
    OnBroken on_broken_;
};

}  // namespace mote
