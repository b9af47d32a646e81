#include "kvm/probe.h"

#include <array>

#include "kvm/kvm_api.h"

namespace mote {

std::span<const KvmCapability> kvm_capabilities() {
    static constexpr std::array<KvmCapability, 13> kCapabilities{{
        {"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY, true, ""},
        {"KVM_CAP_IRQCHIP", KVM_CAP_IRQCHIP, true, ""},
        {"KVM_CAP_IRQFD", KVM_CAP_IRQFD, true, ""},
        {"KVM_CAP_IOEVENTFD", KVM_CAP_IOEVENTFD, true, ""},
        {"KVM_CAP_EXT_CPUID", KVM_CAP_EXT_CPUID, true, ""},
        {"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT, true, ""},
        {"KVM_CAP_READONLY_MEM", KVM_CAP_READONLY_MEM, false,
         "each read of a virtio register is an exit to mote"},
        {"KVM_CAP_COALESCED_PIO", KVM_CAP_COALESCED_PIO, false,
         "each character on the console is an exit to mote"},
        {"KVM_CAP_TSC_DEADLINE_TIMER", KVM_CAP_TSC_DEADLINE_TIMER, false,
         "the guest's timer takes more exits and is less exact"},
        {"KVM_CAP_X2APIC_API", KVM_CAP_X2APIC_API, false, "interrupts between vCPUs are slower"},
        {"KVM_CAP_GET_TSC_KHZ", KVM_CAP_GET_TSC_KHZ, false,
         "the guest measures its clock's frequency at each boot, which takes time"},
        {"KVM_CAP_ADJUST_CLOCK", KVM_CAP_ADJUST_CLOCK, false,
         "the guest's clock stands wrong after a pause"},
        {"KVM_CAP_SYNC_MMU", KVM_CAP_SYNC_MMU, false,
         "guest memory cannot be swapped or given back"},
    }};
    return kCapabilities;
}

}  // namespace mote
