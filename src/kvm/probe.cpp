#include "kvm/probe.h"

#include <array>

#include "kvm/kvm_api.h"

namespace mote {

std::span<const KvmCapability> kvm_capabilities() {
    static constexpr std::array<KvmCapability, 10> kCapabilities{{
        {"KVM_CAP_USER_MEMORY", KVM_CAP_USER_MEMORY, true, ""},
        {"KVM_CAP_IRQCHIP", KVM_CAP_IRQCHIP, true, ""},
        {"KVM_CAP_IRQFD", KVM_CAP_IRQFD, true, ""},
        {"KVM_CAP_IOEVENTFD", KVM_CAP_IOEVENTFD, true, ""},
        {"KVM_CAP_EXT_CPUID", KVM_CAP_EXT_CPUID, true, ""},
        {"KVM_CAP_IMMEDIATE_EXIT", KVM_CAP_IMMEDIATE_EXIT, true, ""},
        {"KVM_CAP_TSC_DEADLINE_TIMER", KVM_CAP_TSC_DEADLINE_TIMER, true, ""},
        {"KVM_CAP_READONLY_MEM", KVM_CAP_READONLY_MEM, false,
         "each read of a virtio register is an exit to mote"},
        {"KVM_CAP_COALESCED_PIO", KVM_CAP_COALESCED_PIO, false,
         "each character on the console is an exit to mote"},
        {"KVM_CAP_GET_TSC_KHZ", KVM_CAP_GET_TSC_KHZ, false,
         "the guest measures its clock's frequency at each boot, which takes time"},
    }};
    return kCapabilities;
}

}  // namespace mote
