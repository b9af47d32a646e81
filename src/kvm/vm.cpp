#include "kvm/vm.h"

#include <sys/ioctl.h>

#include "kvm/kvm_api.h"

namespace mote {

Result<Vm> Vm::create(const Kvm& kvm) {
    int fd = -1;
    // KVM_CREATE_VM can be interrupted by a signal that is none of its business.
    do {
        fd = ::ioctl(kvm.fd(), KVM_CREATE_VM, 0);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return fail_errno("/dev/kvm: cannot create a VM");
    return Vm(UniqueFd(fd));
}

Result<> Vm::set_memory(const MemorySlot& slot) const {
    kvm_userspace_memory_region region{};
    region.slot = slot.slot;
    region.flags = slot.read_only ? KVM_MEM_READONLY : 0U;
    region.guest_phys_addr = slot.address.value;
    region.memory_size = slot.size;
    region.userspace_addr = reinterpret_cast<uintptr_t>(slot.data);
    if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
        return fail_errno("KVM: cannot give the guest {:#x} bytes of memory at {:#x}", slot.size,
                          slot.address.value);
    return {};
}

Result<> Vm::remove_memory(uint32_t slot) const {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
        return fail_errno("KVM: cannot take memory slot {} away from the guest", slot);
    return {};
}

Result<> Vm::create_interrupt_controller() const {
    if (::ioctl(fd_.get(), KVM_CREATE_IRQCHIP, 0) != 0)
        return fail_errno("KVM: cannot create the interrupt controllers");
    return {};
}

Result<> Vm::add_interrupt(const EventFd& line, uint32_t gsi) const {
    kvm_irqfd irqfd{};
    irqfd.fd = static_cast<uint32_t>(line.fd());
    irqfd.gsi = gsi;
    if (::ioctl(fd_.get(), KVM_IRQFD, &irqfd) != 0)
        return fail_errno("KVM: cannot connect an interrupt line to GSI {}", gsi);
    return {};
}

Result<> Vm::add_doorbell(const Doorbell& doorbell) const {
    kvm_ioeventfd event{};
    event.addr = doorbell.address.value;
    event.len = doorbell.length;
    event.fd = doorbell.fd;
    if (doorbell.value) {
        event.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
        event.datamatch = *doorbell.value;
    }
    if (::ioctl(fd_.get(), KVM_IOEVENTFD, &event) != 0)
        return fail_errno("KVM: cannot put a doorbell at {:#x}", doorbell.address.value);
    return {};
}

Result<> Vm::coalesce_writes(GuestAddress address, uint32_t size) const {
    kvm_coalesced_mmio_zone zone{};
    zone.addr = address.value;
    zone.size = size;
    if (::ioctl(fd_.get(), KVM_REGISTER_COALESCED_MMIO, &zone) != 0)
        return fail_errno("KVM: cannot coalesce writes at {:#x}", address.value);
    return {};
}

Result<> Vm::coalesce_port(uint16_t port, bool on) const {
    kvm_coalesced_mmio_zone zone{};
    zone.addr = port;
    zone.size = 1;
    zone.pio = 1;
    const auto request = on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO;
    if (::ioctl(fd_.get(), request, &zone) != 0)
        return fail_errno("KVM: cannot {} coalescing writes to port {:#x}", on ? "begin" : "end",
                          port);
    return {};
}

}  // namespace mote
