// Where memory that comes and goes lies in the guest's address space, and the slots that show it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "control/machine_config.h"
#include "devices/virtio/memory.h"
#include "kvm/kvm.h"
#include "kvm/vm.h"
#include "memory/guest_memory.h"
#include "vmm/pmem_region.h"

namespace mote {

/// The region of `config`: behind RAM, the holes and `pmems`, aligned as Linux wants it. Nothing is
/// in it yet. Errors: addresses of `address_bits` do not reach it.
Result<RegionConfig> place_hotplug(uint32_t address_bits, uint64_t ram_bytes,
                                   std::span<const PmemRegion> pmems,
                                   const HotplugMemoryConfig& config);

/// The device of `memory`'s region of blocks; its slots are numbered from `first_slot`, and `vm`
/// outlives the device's requests. Errors: more slots than this KVM has.
Result<std::unique_ptr<VirtioDevice>> create_memory_device(const Kvm& kvm, const Vm& vm,
                                                           const GuestMemory& memory,
                                                           uint32_t first_slot, uint64_t ram_bytes,
                                                           const HotplugMemoryConfig& config);

}  // namespace mote
