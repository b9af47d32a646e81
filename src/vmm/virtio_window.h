// VirtioWindow: all virtio-mmio register pages, which the guest reads without
// an exit.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "devices/virtio/mmio_transport.h"
#include "kvm/vm.h"
#include "memory/layout.h"

namespace mote {

/// One memory mapping that is a read-only slot of the VM
/// (KVM_CAP_READONLY_MEM): reads are served by the hardware, writes exit or
/// ring a doorbell. Where KVM lacks that, reads exit too and are served from
/// the same pages. Filled by the main thread before start; then any vCPU
/// thread.
class VirtioWindow {
  public:
    /// Errors: ENOMEM.
    static Result<VirtioWindow> create();

    /// Shows the window to the guest; first of all slots, while it is cheap.
    Result<> map(const Vm& vm, uint32_t slot) const;

    /// The page of the device that is added next.
    [[nodiscard]] std::span<std::byte, kVirtioPageSize> next_page() const;
    /// Adds a device made for next_page(), with its doorbells and its interrupt. `coalesce`: KVM
    /// keeps writes that can wait; they are drained before another write is handed to write().
    Result<> add(const Vm& vm, std::unique_ptr<MmioTransport> transport, bool coalesce);

    [[nodiscard]] bool contains(GuestAddress address) const;
    void read(GuestAddress address, std::span<std::byte> data) const;
    /// The transport whose reset this write began, or null where the write is
    /// done.
    MmioTransport* write(GuestAddress address, std::span<const std::byte> data);

    [[nodiscard]] std::span<const std::unique_ptr<MmioTransport>> transports() const {
        return transports_;
    }

  private:
    VirtioWindow(VirtioLayout place, Mapping pages) : place_(place), pages_(std::move(pages)) {}
    [[nodiscard]] MmioTransport* find(GuestAddress address) const;

    VirtioLayout place_;
    Mapping pages_;
    std::vector<std::unique_ptr<MmioTransport>> transports_;
};

}  // namespace mote
