// The state in which x86_64 vCPUs start.
#pragma once

#include "base/result.h"
#include "boot/x86_64/cpu_start.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"

namespace mote {

/// Gives each vCPU its CPUID and MSRs, and vCPU 0 the registers that the boot
/// protocol asks for; the others wait for INIT and SIPI. Errors: what KVM
/// refuses.
Result<> set_up_cpus(const Kvm& kvm, std::span<Vcpu* const> vcpus, const CpuStart& start);

}  // namespace mote
