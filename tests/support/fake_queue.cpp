#include "support/fake_queue.h"

#include <stdexcept>

namespace mote::test {

using virtio::Descriptor;

// --- ChainBuilder --------------------------------------------------------------------------------

ChainBuilder& ChainBuilder::readable(std::span<const std::byte> bytes) {
    return raw(queue_.ram().place(bytes), static_cast<uint32_t>(bytes.size()), 0);
}

ChainBuilder& ChainBuilder::writable(uint32_t size, uint8_t fill) {
    const std::vector<std::byte> content(size, std::byte{fill});
    return raw(queue_.ram().place(content), size, virtio::kDescriptorWrite);
}

ChainBuilder& ChainBuilder::raw(GuestAddress address, uint32_t length, uint16_t flags) {
    descriptors_.push_back({.address = address.value, .length = length, .flags = flags, .next = 0});
    return *this;
}

ChainBuilder& ChainBuilder::indirect() {
    direct_ = 0;
    return *this;
}

ChainBuilder& ChainBuilder::rest_indirect() {
    direct_ = descriptors_.size();
    return *this;
}

AddedChain ChainBuilder::add() {
    AddedChain added;
    for (const Descriptor& descriptor : descriptors_)
        added.buffers.push_back({descriptor.address});
    if (direct_) {
        std::vector<Descriptor> table(descriptors_.begin() + static_cast<ptrdiff_t>(*direct_),
                                      descriptors_.end());
        for (size_t i = 0; i + 1 < table.size(); ++i) {
            table[i].flags = table[i].flags | virtio::kDescriptorNext;
            table[i].next = static_cast<uint16_t>(i + 1);
        }
        descriptors_.resize(*direct_);
        const auto bytes = std::as_bytes(std::span(table));
        raw(queue_.ram().place(bytes), static_cast<uint32_t>(bytes.size()),
            virtio::kDescriptorIndirect);
    }
    added.head = queue_.write_chain(descriptors_);
    queue_.add_head(added.head);
    return added;
}

AddedChain ChainBuilder::submit() {
    AddedChain added = add();
    queue_.publish();
    return added;
}

// --- FakeQueue -----------------------------------------------------------------------------------

FakeQueue::FakeQueue(FakeRam& ram, uint16_t size, bool event_index)
    : ram_(ram),
      size_(size),
      event_index_(event_index),
      descriptors_(ram.allocate(virtio::descriptor_bytes(size), 16)),
      available_(ram.allocate(virtio::available_bytes(size), 2)),
      used_(ram.allocate(virtio::used_bytes(size), 4)),
      chains_(size) {
    for (uint16_t i = size; i-- > 0;)
        free_.push_back(i);
}

QueueConfig FakeQueue::config() const {
    return {.max_size = size_,
            .size = size_,
            .ready = true,
            .descriptors = descriptors_,
            .driver = available_,
            .device = used_};
}

std::atomic_ref<uint16_t> FakeQueue::field(GuestAddress ring, uint64_t offset) const {
    return ram_.memory().ring_index({ring.value + offset}).value();
}

uint16_t FakeQueue::write_chain(std::span<const Descriptor> descriptors) {
    if (descriptors.size() > free_.size()) throw std::runtime_error("the fake queue is full");
    std::vector<uint16_t> taken(free_.rbegin(),
                                free_.rbegin() + static_cast<ptrdiff_t>(descriptors.size()));
    free_.resize(free_.size() - descriptors.size());
    for (size_t i = 0; i < descriptors.size(); ++i) {
        Descriptor descriptor = descriptors[i];
        if (i + 1 < descriptors.size()) {
            descriptor.flags = descriptor.flags | virtio::kDescriptorNext;
            descriptor.next = taken[i + 1];
        }
        write_descriptor(taken[i], descriptor);
    }
    const uint16_t head = taken.at(0);
    chains_[head] = std::move(taken);
    return head;
}

void FakeQueue::write_descriptor(uint16_t index, const Descriptor& descriptor) {
    ram_.memory().store({descriptors_.value + uint64_t{index} * sizeof descriptor}, descriptor);
}

void FakeQueue::write_available(uint16_t slot, uint16_t head) {
    ram_.memory().store({available_.value + virtio::kRingEntries + uint64_t{2} * slot}, le16(head));
}

void FakeQueue::write_available_index(uint16_t index) {
    field(available_, virtio::kRingIndex).store(index, std::memory_order_seq_cst);
}

void FakeQueue::add_head(uint16_t head) {
    write_available(next_available_++ % size_, head);
}

bool FakeQueue::publish() {
    const uint16_t before = std::exchange(published_, next_available_);
    write_available_index(next_available_);
    if (!event_index_) {
        const auto flags = field(used_, virtio::kRingFlags).load(std::memory_order_seq_cst);
        return (flags & virtio::kUsedNoNotify) == 0;
    }
    const auto event =
        field(used_, virtio::available_event_offset(size_)).load(std::memory_order_seq_cst);
    return virtio::crosses_event(event, next_available_, before);
}

uint16_t FakeQueue::used_index() const {
    return field(used_, virtio::kRingIndex).load(std::memory_order_seq_cst);
}

std::optional<virtio::UsedElement> FakeQueue::take_used() {
    if (used_index() == next_used_) return std::nullopt;
    const uint64_t slot = next_used_++ % size_;
    const auto element = ram_.memory()
                             .load<virtio::UsedElement>({used_.value + virtio::kRingEntries +
                                                         slot * sizeof(virtio::UsedElement)})
                             .value();
    for (const uint16_t index : std::exchange(chains_.at(element.head), {}))
        free_.push_back(index);
    return element;
}

bool FakeQueue::want_interrupt() {
    if (event_index_)
        field(available_, virtio::used_event_offset(size_))
            .store(next_used_, std::memory_order_seq_cst);
    else
        field(available_, virtio::kRingFlags).store(0, std::memory_order_seq_cst);
    return used_index() == next_used_;
}

void FakeQueue::refuse_interrupts() {
    if (event_index_)
        field(available_, virtio::used_event_offset(size_))
            .store(static_cast<uint16_t>(next_used_ - 1), std::memory_order_seq_cst);
    else
        field(available_, virtio::kRingFlags)
            .store(virtio::kAvailableNoInterrupt, std::memory_order_seq_cst);
}

}  // namespace mote::test
