// MachineEvents: what a guest asks of the machine as a whole.
#pragma once

namespace mote {

/// Receives it on the vCPU thread that wrote the register; must not block. The guest may go on for
/// a few instructions on its other vCPUs.
class MachineEvents {
  public:
    MachineEvents() = default;
    MachineEvents(const MachineEvents&) = delete;
    MachineEvents& operator=(const MachineEvents&) = delete;
    virtual ~MachineEvents() = default;

    virtual void guest_power_off() = 0;
    virtual void guest_reset() = 0;
    virtual void guest_panicked() = 0;
};

}  // namespace mote
