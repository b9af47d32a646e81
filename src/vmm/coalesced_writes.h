// CoalescedWrites: what guests wrote without an exit, handed on in its order.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>

#include "kvm/coalesced_ring.h"

namespace mote {

/// The one ring of a VM and where its writes go. Drained before an access that exits is handled, so
/// that a device sees all writes in the order the guest made them. The receivers may take locks of
/// their own; who holds one of these must not drain.
class CoalescedWrites {
  public:
    using Receiver = std::function<void(uint64_t address, std::span<const std::byte> bytes)>;

    /// `page` as CoalescedRing has it, or none where KVM coalesces nothing.
    explicit CoalescedWrites(std::optional<std::span<std::byte>> page) {
        if (page) ring_.emplace(*page);
    }

    /// Before any vCPU runs.
    void to_ports(Receiver receiver) { ports_ = std::move(receiver); }
    void to_mmio(Receiver receiver) { mmio_ = std::move(receiver); }

    [[nodiscard]] bool possible() const { return ring_.has_value(); }
    /// Hands on all that is in the ring; returns how many writes. Any thread.
    size_t drain() {
        if (!ring_) return 0;
        const std::lock_guard lock(mutex_);
        return ring_->drain([this](bool is_port, uint64_t address, auto bytes) {
            const Receiver& receiver = is_port ? ports_ : mmio_;
            if (receiver) receiver(address, bytes);
        });
    }

  private:
    std::mutex mutex_;
    std::optional<CoalescedRing> ring_;
    Receiver ports_;
    Receiver mmio_;
};

}  // namespace mote
