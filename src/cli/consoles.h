// Consoles: the other ends of all consoles that a machine has.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "cli/console.h"
#include "control/machine_config.h"
#include "vmm/machine.h"

namespace mote {

/// COM1's and the virtio console's, where they are on. Made before the machine, outlive it. Methods
/// are the main thread's; those that Console has too mean the same.
class Consoles {
  public:
    static constexpr size_t kMost = 2;

    /// Errors: ENOMEM, EMFILE.
    static Result<Consoles> create(const MachineConfig& config);

    [[nodiscard]] ConsoleOutputs outputs() const;

    /// Errors: those of Console::open(); what was open already is then closed again.
    Result<> open();
    /// Errors: EAGAIN for a thread; the others have their input.
    Result<> start_input(Machine& machine);
    void suspend();
    void resume();
    uint64_t finish(std::chrono::milliseconds limit);
    [[nodiscard]] bool leaves_line_open();

    /// For poll(2): readable when take_event() has something to say; -1 where there is no console.
    [[nodiscard]] std::array<int, kMost> events() const;
    ConsoleEvent take_event();

  private:
    std::array<std::unique_ptr<Console>, kMost> consoles_;  ///< COM1's, the virtio console's
};

}  // namespace mote
