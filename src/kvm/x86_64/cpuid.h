// What CPUID tells the guest: the host's features that KVM supports, and mote's topology.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kvm/kvm.h"
#include "kvm/kvm_api.h"
#include "kvm/vcpu.h"

namespace mote {

/// Makes the CPUID of each vCPU of one machine. The guest sees one package with `cpus` cores of one
/// thread each, its TSC frequency, x2APIC, the TSC deadline timer and KVM's paravirtual features.
class Cpuid {
  public:
    /// Reads what KVM supports (KVM_GET_SUPPORTED_CPUID) and fits it to `cpus` vCPUs.
    /// `tsc_khz` is the guest's TSC frequency, 0 where it is not known.
    static Result<Cpuid> create(const Kvm& kvm, uint32_t cpus, uint32_t tsc_khz);

    /// Gives `vcpu` its CPUID (KVM_SET_CPUID2).
    Result<> apply(const Vcpu& vcpu) const;

    /// The entries as vCPU `id` sees them; for apply() and tests.
    [[nodiscard]] std::vector<kvm_cpuid_entry2> entries_for(uint32_t id) const;

    /// Fits a list of supported entries, without a KVM; for tests.
    static Cpuid from_supported(std::vector<kvm_cpuid_entry2> supported, uint32_t cpus,
                                uint32_t tsc_khz);

  private:
    explicit Cpuid(std::vector<kvm_cpuid_entry2> entries) : entries_(std::move(entries)) {}
    std::vector<kvm_cpuid_entry2> entries_;
};

}  // namespace mote
