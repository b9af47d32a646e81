#include "kvm/x86_64/registers.h"

#include <sys/ioctl.h>

#include <array>
#include <cassert>
#include <cstring>

namespace mote {

namespace {
constexpr size_t kMaxMsrs = 64;
}

Result<kvm_sregs> special_registers(const Vcpu& vcpu) {
    kvm_sregs sregs{};
    if (::ioctl(vcpu.fd(), KVM_GET_SREGS, &sregs) != 0)
        return fail_errno("KVM: cannot read the special registers of vCPU {}", vcpu.id());
    return sregs;
}

Result<> set_special_registers(const Vcpu& vcpu, const kvm_sregs& sregs) {
    if (::ioctl(vcpu.fd(), KVM_SET_SREGS, &sregs) != 0)
        return fail_errno("KVM: cannot set the special registers of vCPU {}", vcpu.id());
    return {};
}

Result<> set_general_registers(const Vcpu& vcpu, const kvm_regs& regs) {
    if (::ioctl(vcpu.fd(), KVM_SET_REGS, &regs) != 0)
        return fail_errno("KVM: cannot set the registers of vCPU {}", vcpu.id());
    return {};
}

Result<> set_msrs(const Vcpu& vcpu, std::span<const kvm_msr_entry> msrs) {
    assert(msrs.size() <= kMaxMsrs);
    alignas(kvm_msrs) std::array<std::byte, sizeof(kvm_msrs) + kMaxMsrs * sizeof(kvm_msr_entry)>
        buffer{};
    auto* list = reinterpret_cast<kvm_msrs*>(buffer.data());
    list->nmsrs = static_cast<uint32_t>(msrs.size());
    std::memcpy(list->entries, msrs.data(), msrs.size_bytes());
    const int set = ::ioctl(vcpu.fd(), KVM_SET_MSRS, list);
    if (set < 0) return fail_errno("KVM: cannot set the MSRs of vCPU {}", vcpu.id());
    if (static_cast<size_t>(set) < msrs.size())
        return fail_code(ENOTSUP, "KVM: refuses MSR {:#x} of vCPU {}",
                         msrs[static_cast<size_t>(set)].index, vcpu.id());
    return {};
}

uint32_t tsc_khz(const Vcpu& vcpu) {
    const int khz = ::ioctl(vcpu.fd(), KVM_GET_TSC_KHZ, 0);
    return khz < 0 ? 0 : static_cast<uint32_t>(khz);
}

}  // namespace mote
