// CoalescedRing: port and register writes that KVM kept for us instead of exiting with each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kvm/kvm_api.h"

namespace mote {

/// The consumer's end of a VM's ring (KVM API, KVM_CAP_COALESCED_MMIO). There is one ring for all
/// vCPUs; KVM is its producer, under a lock of its own. One thread at a time.
class CoalescedRing {
  public:
    /// `page`: the ring's page of a vCPU's mapping, at the index that KVM_CAP_COALESCED_MMIO gives.
    explicit CoalescedRing(std::span<std::byte> page)
        : ring_(reinterpret_cast<kvm_coalesced_mmio_ring*>(page.data())) {}

    /// Takes the oldest write: `take(is_port, address, bytes)` for each. Returns how many
    /// there were.
    template <class Take>
    size_t drain(Take&& take) {
        size_t taken = 0;
        uint32_t first = ring_->first;
        while (first < kCapacity && first != __atomic_load_n(&ring_->last, __ATOMIC_ACQUIRE)) {
            const kvm_coalesced_mmio entry = ring_->coalesced_mmio[first];
            const size_t size = entry.len < sizeof entry.data ? entry.len : sizeof entry.data;
            take(entry.pio != 0, entry.phys_addr, std::as_bytes(std::span(entry.data, size)));
            first = (first + 1) % kCapacity;
            __atomic_store_n(&ring_->first, first, __ATOMIC_RELEASE);
            ++taken;
        }
        return taken;
    }

  private:
    static constexpr uint32_t kCapacity =
        (4096 - sizeof(kvm_coalesced_mmio_ring)) / sizeof(kvm_coalesced_mmio);
    kvm_coalesced_mmio_ring* ring_;
};

}  // namespace mote
