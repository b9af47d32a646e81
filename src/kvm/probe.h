// What the KVM of this host can do: for `mote check`, before anybody wonders why a guest hangs.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "kvm/kvm.h"

namespace mote {

/// A capability that mote uses.
struct KvmCapability {
    const char* name;  ///< as the KVM API's documentation has it
    int number;
    bool needed;       ///< no machine without it
    const char* cost;  ///< what its lack costs
};

/// Those of every architecture, and of this one.
std::span<const KvmCapability> kvm_capabilities();

/// Runs a guest of a few dozen bytes that does what every Linux does at its start and a KVM without
/// hardware may not: some instructions at CPL 0, a drop to CPL 3, a system call back. Takes less
/// than 3 s. Errors: what the guest could not do, or what could not be set up.
Result<> probe_linux(const Kvm& kvm);

}  // namespace mote
