// Platform: what the architecture adds to CPUs, memory and virtio devices.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "control/machine_config.h"
#include "control/resources.h"
#include "devices/bus.h"
#include "devices/console_io.h"
#include "devices/machine_events.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "memory/guest_memory.h"
#include "vmm/coalesced_writes.h"

namespace mote {

/// What a platform is made from; the references outlive it.
struct PlatformInput {
    const Kvm& kvm;
    const Vm& vm;
    EventLoop& worker;
    MachineEvents& events;
    const MachineConfig& config;
    ConsoleOutput* output;    ///< null leaves the serial port out
    CoalescedWrites& writes;  ///< for what KVM keeps of a guest's writes
    bool coalesce_ports;      ///< KVM can keep port writes
};

/// The legacy devices and the way into the guest of one architecture; src/vmm/ARCH/ has it.
class Platform {
  public:
    /// What KVM is to know of a VM with its memory, before interrupt controllers and vCPUs.
    /// Errors: KVM's.
    static Result<> prepare(const Vm& vm);
    /// How many bits a physical address of a guest's has. Errors: KVM's.
    static Result<uint32_t> address_bits(const Kvm& kvm);
    /// Errors: what the host could not give.
    static Result<std::unique_ptr<Platform>> create(const PlatformInput& input);
    Platform() = default;
    Platform(const Platform&) = delete;
    Platform& operator=(const Platform&) = delete;
    virtual ~Platform() = default;

    /// Puts kernel, initrd and tables into memory and the vCPUs into their first state. `virtio`:
    /// how many virtio devices there are. Errors: a kernel that cannot be loaded; what KVM refuses.
    virtual Result<> load(const GuestMemory& memory, const Resources& resources, size_t virtio,
                          std::span<Vcpu* const> vcpus) = 0;

    /// The I/O port space and the MMIO devices outside of the virtio window. vCPU threads.
    [[nodiscard]] virtual const Bus& ports() const = 0;
    [[nodiscard]] virtual const Bus& mmio() const = 0;

    virtual void press_power_button() = 0;
    /// Null where there is no serial port.
    virtual ConsoleInput* serial_input() = 0;
};

}  // namespace mote
