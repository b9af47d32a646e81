// The registers behind hardware-reduced ACPI: power-off, reset and the power button.
#pragma once

#include <atomic>

#include "base/event_fd.h"
#include "devices/bus.h"
#include "devices/machine_events.h"

namespace mote {

/// SLEEP_CONTROL_REG at offset 0, SLEEP_STATUS_REG at offset 1 (ACPI 6.5, 4.8.3.7 and 4.8.3.8).
class SleepRegisters final : public IoHandler {
  public:
    /// `power_off_type`: the SLP_TYP value that the DSDT's \_S5 names.
    SleepRegisters(MachineEvents& events, uint8_t power_off_type)
        : events_(events), power_off_type_(power_off_type) {}
    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

  private:
    MachineEvents& events_;
    const uint8_t power_off_type_;
};

/// RESET_REG (ACPI 6.5, 4.8.3.6): one byte; the value that the FADT names resets the machine.
class ResetRegister final : public IoHandler {
  public:
    ResetRegister(MachineEvents& events, uint8_t value) : events_(events), value_(value) {}
    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

  private:
    MachineEvents& events_;
    const uint8_t value_;
};

/// The select register of the generic event device (ACPI 6.5, 5.6.9): a 4-byte read tells what has
/// happened since the last one; the DSDT's _EVT method reads it and notifies the devices.
class GenericEventDevice final : public IoHandler {
  public:
    static constexpr uint32_t kPowerButton = 1U << 0U;

    explicit GenericEventDevice(EventFd line) : line_(std::move(line)) {}
    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;

    /// Marks `event` as happened and interrupts the guest. Any thread.
    void raise(uint32_t event);
    [[nodiscard]] const EventFd& line() const { return line_; }

  private:
    EventFd line_;
    std::atomic<uint32_t> pending_ = 0;
};

}  // namespace mote
