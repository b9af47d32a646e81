#include "devices/acpi_registers.h"

#include <algorithm>
#include <cstring>

namespace mote {

namespace {

// Bits of SLEEP_CONTROL_REG.
constexpr unsigned kSleepTypeShift = 2;
constexpr unsigned kSleepTypeMask = 7;
constexpr unsigned kSleepEnable = 1U << 5U;

void zero(std::span<std::byte> data) {
    std::fill(data.begin(), data.end(), std::byte{0});
}

}  // namespace

void SleepRegisters::read(uint64_t /*offset*/, std::span<std::byte> data) {
    zero(data);
}

void SleepRegisters::write(uint64_t offset, std::span<const std::byte> data) {
    if (offset != 0) return;  // the status register's WAK_STS: nothing ever wakes
    const auto value = std::to_integer<unsigned>(data[0]);
    const unsigned type = (value >> kSleepTypeShift) & kSleepTypeMask;
    if ((value & kSleepEnable) != 0 && type == power_off_type_) events_.guest_power_off();
}

void ResetRegister::read(uint64_t /*offset*/, std::span<std::byte> data) {
    zero(data);
}

void ResetRegister::write(uint64_t /*offset*/, std::span<const std::byte> data) {
    if (std::to_integer<unsigned>(data[0]) == value_) events_.guest_reset();
}

void GenericEventDevice::read(uint64_t offset, std::span<std::byte> data) {
    zero(data);
    // Only the access that the DSDT makes takes the events: half a read must lose none.
    if (offset != 0 || data.size() != sizeof(uint32_t)) return;
    const uint32_t pending = pending_.exchange(0);
    std::memcpy(data.data(), &pending, sizeof pending);
}

void GenericEventDevice::write(uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

void GenericEventDevice::raise(uint32_t event) {
    pending_.fetch_or(event);
    line_.signal();
}

}  // namespace mote
