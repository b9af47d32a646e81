// FakeQueue: the driver's side of a split virtqueue, and a builder of chains that reads like what
// it builds:
//
//     const auto sent = queue.chain().readable("header").writable(512).submit();
//     REQUIRE(queue.take_used()->head == sent.head);
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "devices/virtio/protocol.h"
#include "devices/virtio/queue_config.h"
#include "support/fake_ram.h"

namespace mote::test {

class FakeQueue;

/// A chain that was added: its head, and where its buffers lie.
struct AddedChain {
    uint16_t head = 0;
    std::vector<GuestAddress> buffers;  ///< in the order of the builder's calls
};

class ChainBuilder {
  public:
    explicit ChainBuilder(FakeQueue& queue) : queue_(queue) {}

    /// Device-readable: a fresh buffer with these bytes.
    ChainBuilder& readable(std::span<const std::byte> bytes);
    ChainBuilder& readable(std::string_view text) { return readable(bytes_of(text)); }
    /// Device-writable: a fresh buffer of `size` bytes of `fill`.
    ChainBuilder& writable(uint32_t size, uint8_t fill = 0);
    /// Any descriptor, right or wrong; kDescriptorNext is added where another one follows.
    ChainBuilder& raw(GuestAddress address, uint32_t length, uint16_t flags);
    /// The whole chain in an indirect table.
    ChainBuilder& indirect();
    /// What was added so far directly, the rest in an indirect table.
    ChainBuilder& rest_indirect();

    /// Puts the chain into the available ring, for the next publish().
    AddedChain add();
    /// add() and publish().
    AddedChain submit();

  private:
    FakeQueue& queue_;
    std::vector<virtio::Descriptor> descriptors_;
    std::optional<size_t> direct_;  ///< descriptors before the indirect table
};

class FakeQueue {
  public:
    FakeQueue(FakeRam& ram, uint16_t size, bool event_index = true);

    [[nodiscard]] QueueConfig config() const;
    [[nodiscard]] FakeRam& ram() { return ram_; }
    [[nodiscard]] uint16_t size() const { return size_; }

    ChainBuilder chain() { return ChainBuilder(*this); }

    /// Makes visible what was added; true where the device wants a notification.
    bool publish();
    /// The next chain that the device gave back; its descriptors are free again.
    std::optional<virtio::UsedElement> take_used();
    [[nodiscard]] uint16_t used_index() const;
    [[nodiscard]] uint16_t free_descriptors() const { return static_cast<uint16_t>(free_.size()); }

    /// Asks for an interrupt at the next used buffer, or for none (2.7.7). False where a used
    /// buffer is there already.
    bool want_interrupt();
    void refuse_interrupts();

    // For rings that no honest driver writes.
    void write_descriptor(uint16_t index, const virtio::Descriptor& descriptor);
    void write_available(uint16_t slot, uint16_t head);
    void write_available_index(uint16_t index);

    /// For ChainBuilder: free descriptors, linked and written; returns the head.
    uint16_t write_chain(std::span<const virtio::Descriptor> descriptors);
    void add_head(uint16_t head);

  private:
    [[nodiscard]] std::atomic_ref<uint16_t> field(GuestAddress ring, uint64_t offset) const;

    FakeRam& ram_;
    uint16_t size_;
    bool event_index_;
    GuestAddress descriptors_;
    GuestAddress available_;
    GuestAddress used_;
    uint16_t next_available_ = 0;
    uint16_t published_ = 0;
    uint16_t next_used_ = 0;
    std::vector<uint16_t> free_;
    std::vector<std::vector<uint16_t>> chains_;  ///< by head: the descriptors it takes
};

}  // namespace mote::test
