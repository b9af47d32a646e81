// The x86_64 register state of a vCPU.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "kvm/kvm_api.h"
#include "kvm/vcpu.h"

namespace mote {

/// KVM_GET_SREGS and KVM_SET_SREGS: control, segment and descriptor-table registers.
Result<kvm_sregs> special_registers(const Vcpu& vcpu);
Result<> set_special_registers(const Vcpu& vcpu, const kvm_sregs& sregs);
/// KVM_SET_REGS: general registers, rip and rflags.
Result<> set_general_registers(const Vcpu& vcpu, const kvm_regs& regs);
/// KVM_SET_MSRS. Errors: names the first one that KVM refuses.
Result<> set_msrs(const Vcpu& vcpu, std::span<const kvm_msr_entry> msrs);
/// The guest's TSC frequency in kHz (KVM_GET_TSC_KHZ), 0 where the host does not know it.
uint32_t tsc_khz(const Vcpu& vcpu);

}  // namespace mote
