// Machine: one virtual machine, from a checked configuration to its end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/event_fd.h"
#include "base/result.h"
#include "control/resources.h"
#include "control/validate.h"
#include "devices/console_io.h"

namespace mote {

/// How a machine came to its end. docs/exit-status.md has the status of each.
enum class EndKind : uint8_t { power_off, reboot, panic, crash, host_failure };

struct MachineEnd {
    EndKind kind;
    std::string detail;  ///< what a person needs to know, or empty
};

/// Who receives what the guest prints; a console without one is left out.
struct ConsoleOutputs {
    ConsoleOutput* serial = nullptr;  ///< on COM1
    ConsoleOutput* virtio = nullptr;  ///< on the virtio console
};

/// Everything that runs one guest. Made, started and ended by the main thread.
class Machine {
  public:
    /// Builds the whole machine, ready to run; nothing of the guest has run yet. `outputs` outlive
    /// the machine.
    /// Errors: what the host could not give, or a kernel image that cannot be loaded.
    static Result<std::unique_ptr<Machine>> create(const ValidMachineConfig& config,
                                                   Resources resources,
                                                   const ConsoleOutputs& outputs);
    ~Machine();
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    /// Lets the vCPUs run. Once.
    Result<> start();
    /// Stops every vCPU and device at a point between two exits or requests; both are idempotent.
    /// Errors: a device has not come to rest within `limit` (the machine then runs on).
    Result<> pause(std::chrono::milliseconds limit);
    void resume();
    /// Presses the ACPI power button: asks the guest to power off.
    void press_power_button();
    /// Where bytes go that are typed for COM1, and for the virtio console; null where it is left
    /// out.
    ConsoleInput* serial_input();
    ConsoleInput* virtio_console_input();

    /// Becomes readable once the machine has ended by itself; end() says how.
    [[nodiscard]] const EventFd& ended() const;
    [[nodiscard]] MachineEnd end() const;
    /// Ends the vCPUs and devices and hands all output over, within a second or so: what hangs in
    /// the host's kernel is left to the process's exit.
    void stop();

    /// What a machine consists of; for src/vmm only.
    struct Parts;

  private:
    explicit Machine(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace mote
