#include "devices/virtio/queue.h"

#include <cassert>
#include <utility>

namespace mote {

using virtio::Descriptor;

namespace {

/// The driver may not describe more than this in one chain (virtio 1.2, 2.7.4.2).
constexpr uint64_t kMaxChainBytes = uint64_t{1} << 32U;

Result<> check_part(const GuestMemory& memory, std::string_view what, GuestAddress address,
                    uint64_t size, uint64_t alignment) {
    if (address.value % alignment != 0)
        return fail("the {} at {:#x} is not aligned to {}", what, address.value, alignment);
    if (!memory.contains(address, size))
        return fail("the {} at {:#x} ({} bytes) is not in RAM", what, address.value, size);
    return {};
}

/// `offset` is inside a ring that was found to lie in RAM, so it cannot overflow.
GuestAddress at(GuestAddress ring, uint64_t offset) {
    return {ring.value + offset};
}

}  // namespace

Result<Queue::Indices> Queue::find_indices(const QueueConfig& config, const GuestMemory& memory) {
    const auto size = static_cast<uint16_t>(config.size);
    const auto find = [&memory](GuestAddress ring, uint64_t offset) -> Result<Index> {
        const auto index = memory.ring_index(at(ring, offset));
        if (!index) return fail("the ring at {:#x} is not in RAM", ring.value);
        return *index;
    };
    return Indices{
        .available_flags = TRY(find(config.driver, virtio::kRingFlags)),
        .available = TRY(find(config.driver, virtio::kRingIndex)),
        .used_event = TRY(find(config.driver, virtio::used_event_offset(size))),
        .used_flags = TRY(find(config.device, virtio::kRingFlags)),
        .used = TRY(find(config.device, virtio::kRingIndex)),
        .available_event = TRY(find(config.device, virtio::available_event_offset(size)))};
}

Result<std::unique_ptr<Queue>> Queue::create(const QueueConfig& config, const GuestMemory& memory,
                                             uint64_t features, OnBroken on_broken) {
    if (!std::has_single_bit(config.size) || config.size > config.max_size)
        return fail("a queue size of {} is not a power of two up to {}", config.size,
                    config.max_size);
    const auto size = static_cast<uint16_t>(config.size);
    TRY(check_part(memory, "descriptor table", config.descriptors, virtio::descriptor_bytes(size),
                   16));
    TRY(check_part(memory, "available ring", config.driver, virtio::available_bytes(size), 2));
    TRY(check_part(memory, "used ring", config.device, virtio::used_bytes(size), 4));
    const Indices indices = TRY(find_indices(config, memory));
    return std::unique_ptr<Queue>(
        new Queue(config, memory, features, indices, std::move(on_broken)));
}

Queue::Queue(const QueueConfig& config, const GuestMemory& memory, uint64_t features,
             const Indices& indices, OnBroken on_broken)
    : memory_(memory),
      descriptors_(config.descriptors),
      available_ring_(config.driver),
      used_ring_(config.device),
      indices_(indices),
      size_(static_cast<uint16_t>(config.size)),
      event_index_((features & virtio::kFeatureEventIndex) != 0),
      indirect_((features & virtio::kFeatureIndirect) != 0),
      buffers_(config.size),
      on_broken_(std::move(on_broken)) {}

bool Queue::fail_queue(std::string_view why) {
    if (!std::exchange(broken_, true) && on_broken_) on_broken_(why);
    return false;
}

bool Queue::has_work() const {
    return !broken_ && !closed_ &&
           indices_.available.load(std::memory_order_acquire) != next_available_;
}

std::optional<Chain> Queue::pop() {
    if (broken_ || closed_) return std::nullopt;
    // Acquire: the entries up to the index are to be read after it.
    const uint16_t available = indices_.available.load(std::memory_order_acquire);
    const auto waiting = static_cast<uint16_t>(available - next_available_);
    if (waiting == 0) return std::nullopt;
    if (waiting > size_) {
        fail_queue("the available index jumps by more than the queue's size");
        return std::nullopt;
    }
    const uint64_t slot = next_available_ % size_;
    const auto entry =
        memory_.load<le16>(at(available_ring_, virtio::kRingEntries + slot * sizeof(le16)));
    const uint16_t head = entry.value_or(le16(size_));
    if (head >= size_) {
        fail_queue("the available ring names a descriptor beyond the table");
        return std::nullopt;
    }
    ChainBuffers& buffers = buffers_[head];
    if (buffers.in_flight) {
        fail_queue("a chain was made available again while it is in flight");
        return std::nullopt;
    }
    if (!walk(head, buffers)) return std::nullopt;
    ++next_available_;
    ++in_flight_;
    buffers.in_flight = true;
    return Chain(*this, buffers, head);
}

bool Queue::walk(uint16_t head, ChainBuffers& buffers) {
    buffers.readable.clear();
    buffers.writable.clear();
    GuestAddress table = descriptors_;
    uint32_t length = size_;
    uint32_t left = size_;  // a chain of more descriptors than its table has is a loop
    uint32_t index = head;
    bool in_indirect = false;
    for (;;) {
        if (index >= length) return fail_queue("a descriptor's next leads beyond the table");
        if (left-- == 0) return fail_queue("a descriptor chain loops");
        const auto descriptor =
            memory_.load<Descriptor>(at(table, uint64_t{index} * sizeof(Descriptor)));
        if (!descriptor) return fail_queue("an indirect table is not in RAM");
        if ((descriptor->flags & virtio::kDescriptorIndirect) != 0) {
            if (in_indirect) return fail_queue("an indirect table holds an indirect descriptor");
            if (!enter_indirect(*descriptor, table, length)) return false;
            in_indirect = true;
            left = length;
            index = 0;
            continue;
        }
        if (!add_buffer(*descriptor, buffers)) return false;
        if ((descriptor->flags & virtio::kDescriptorNext) == 0) return true;
        index = descriptor->next;
    }
}

// 2.7.5.3: the driver's rules for indirect descriptors, each checked.
bool Queue::enter_indirect(const Descriptor& descriptor, GuestAddress& table, uint32_t& length) {
    if (!indirect_) return fail_queue("an indirect descriptor without the feature");
    if ((descriptor.flags & virtio::kDescriptorNext) != 0)
        return fail_queue("an indirect descriptor has a next one");
    const uint32_t bytes = descriptor.length;
    if (bytes == 0 || bytes % sizeof(Descriptor) != 0)
        return fail_queue("an indirect table's length is not a number of descriptors");
    if (bytes / sizeof(Descriptor) > kMaxChain) return fail_queue("an indirect table is too long");
    table = GuestAddress{descriptor.address};
    length = bytes / static_cast<uint32_t>(sizeof(Descriptor));
    if (!memory_.contains(table, bytes)) return fail_queue("an indirect table is not in RAM");
    return true;
}

bool Queue::add_buffer(const Descriptor& descriptor, ChainBuffers& buffers) {
    const uint32_t bytes = descriptor.length;
    const bool writable = (descriptor.flags & virtio::kDescriptorWrite) != 0;
    if (bytes == 0) return fail_queue("a descriptor of no bytes");
    // 2.7.4.2: all buffers that the device writes come after those it reads.
    if (!writable && buffers.writable.bytes != 0)
        return fail_queue("a readable descriptor after a writable one");
    if (buffers.readable.bytes + buffers.writable.bytes + bytes > kMaxChainBytes)
        return fail_queue("a chain of more than 4 GiB");
    BufferList& list = writable ? buffers.writable : buffers.readable;
    if (!memory_.append_iovecs(GuestAddress{descriptor.address}, bytes, list.parts))
        return fail_queue("a descriptor's buffer is not in RAM");
    list.bytes += bytes;
    return true;
}

void Queue::release(const Chain& chain) {
    chain.buffers_->in_flight = false;
    --in_flight_;
}

void Queue::abandon(const Chain& chain) {
    assert((closed_ || broken_) && "a chain was dropped and not given back");
    release(chain);
}

void Queue::complete(Chain chain, uint32_t written) {
    release(chain);
    chain.queue_ = nullptr;
    if (broken_ || closed_) return;
    const virtio::UsedElement element{.head = chain.head_, .written = written};
    const uint64_t slot = next_used_ % size_;
    memory_.store(at(used_ring_, virtio::kRingEntries + slot * sizeof element), element);
    ++next_used_;
}

void Queue::put_back(Chain chain) {
    release(chain);
    chain.queue_ = nullptr;
    --next_available_;
}

void Queue::reject(Chain chain, std::string_view why) {
    release(chain);
    chain.queue_ = nullptr;
    fail_queue(why);
}

// The used index and then the driver's wish, here; the driver's wish and then the used index,
// there: one of the two must see the other's, or an interrupt is lost. That takes a store and a
// load that no processor swaps: both sequentially consistent (a full barrier between them on x86;
// and unlike a fence, something ThreadSanitizer understands).
bool Queue::publish() {
    if (broken_ || closed_ || next_used_ == published_) return false;
    const uint16_t before = std::exchange(published_, next_used_);
    indices_.used.store(next_used_, std::memory_order_seq_cst);
    if (event_index_) {
        const uint16_t event = indices_.used_event.load(std::memory_order_seq_cst);
        return virtio::crosses_event(event, next_used_, before);
    }
    const uint16_t flags = indices_.available_flags.load(std::memory_order_seq_cst);
    return (flags & virtio::kAvailableNoInterrupt) == 0;
}

bool Queue::enable_notifications() {
    if (broken_ || closed_) return false;
    // The same race as in publish(), with the roles exchanged.
    if (event_index_)
        indices_.available_event.store(next_available_, std::memory_order_seq_cst);
    else
        indices_.used_flags.store(0, std::memory_order_seq_cst);
    return indices_.available.load(std::memory_order_seq_cst) != next_available_;
}

void Queue::disable_notifications() {
    // With event indices nothing is to do: the driver's index has passed the one asked for.
    if (!event_index_ && !broken_ && !closed_)
        indices_.used_flags.store(virtio::kUsedNoNotify, std::memory_order_relaxed);
}

}  // namespace mote
