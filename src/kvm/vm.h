// Vm: one KVM virtual machine: memory slots, interrupt lines and doorbells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/event_fd.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/kvm.h"
#include "memory/guest_address.h"

namespace mote {

/// Host memory shown to the guest (KVM API 4.35, KVM_SET_USER_MEMORY_REGION).
struct MemorySlot {
    uint32_t slot = 0;
    GuestAddress address;
    std::byte* data = nullptr;  ///< page-aligned, mapped while the VM lives
    uint64_t size = 0;          ///< bytes, whole pages
    bool read_only = false;     ///< guest writes exit as MMIO (KVM_CAP_READONLY_MEM)
};

/// A guest write that signals an eventfd instead of an exit to user space (KVM API 4.59).
struct Doorbell {
    GuestAddress address;
    uint32_t length = 0;
    std::optional<uint64_t> value;  ///< only this value, where there is one
    int fd = -1;
};

/// A KVM virtual machine. Set up by the main thread; the coalesced range and memory slots may be
/// changed by any.
class Vm {
  public:
    /// Errors: EBUSY (another hypervisor has the CPU), ENOMEM, EPERM.
    static Result<Vm> create(const Kvm& kvm);

    Result<> set_memory(const MemorySlot& slot) const;
    /// Takes the slot away from a guest that may be running. Its accesses exit as MMIO afterwards.
    Result<> remove_memory(uint32_t slot) const;
    /// The architecture's interrupt controllers, in the kernel (x86_64: PICs, IOAPIC, local APICs).
    Result<> create_interrupt_controller() const;
    /// Makes `line` an edge-triggered interrupt of `gsi` (KVM API 4.75, KVM_IRQFD).
    Result<> add_interrupt(const EventFd& line, uint32_t gsi) const;
    Result<> add_doorbell(const Doorbell& doorbell) const;
    /// While on, 1-byte writes to `port` land in the coalesced ring instead of exiting
    /// (KVM API 4.116, KVM_CAP_COALESCED_PIO).
    Result<> coalesce_port(uint16_t port, bool on) const;

    /// From now on writes that lie in [address, address + size) land in the coalesced ring instead
    /// of exiting (KVM API 4.116). For registers whose writes only count at a later one that exits.
    Result<> coalesce_writes(GuestAddress address, uint32_t size) const;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  private:
    explicit Vm(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace mote
