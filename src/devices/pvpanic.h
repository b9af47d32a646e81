// pvpanic: by which a panicking guest tells its host.
#pragma once

#include "devices/bus.h"
#include "devices/machine_events.h"

namespace mote {

/// One byte (QEMU, docs/specs/pvpanic): reading tells which events are known, writing one reports
/// it. A crash kernel that was loaded in time (bit 1) is the guest's own affair.
class Pvpanic final : public IoHandler {
  public:
    static constexpr unsigned kPanicked = 1U << 0U;
    static constexpr unsigned kCrashLoaded = 1U << 1U;

    explicit Pvpanic(MachineEvents& events) : events_(events) {}
    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

  private:
    MachineEvents& events_;
};

}  // namespace mote
