// The bus and the small devices on it: ACPI registers, pvpanic.
#include <cstring>
#include <string>

#include "devices/acpi_registers.h"
#include "devices/bus.h"
#include "devices/pvpanic.h"
#include "unit/catch.h"

using namespace mote;

namespace {

struct Events final : MachineEvents {
    void guest_power_off() override { log += "off "; }
    void guest_reset() override { log += "reset "; }
    void guest_panicked() override { log += "panic "; }
    std::string log;
};

template <class T>
T in(const Bus& bus, uint64_t address) {
    T value{};
    bus.read(address, std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

template <class T>
void out(const Bus& bus, uint64_t address, T value) {
    bus.write(address, std::as_bytes(std::span(&value, 1)));
}

}  // namespace

TEST_CASE("Bus: an address without a device reads as ones and swallows writes") {
    const Bus bus;
    CHECK(in<uint32_t>(bus, 0x70) == 0xFFFFFFFFU);
    out<uint8_t>(bus, 0x70, 1);
}

TEST_CASE("Bus: an access that only begins in a range is not the device's") {
    Events events;
    ResetRegister reset(events, 1);
    Bus bus;
    bus.place(0x606, 1, reset);
    out<uint16_t>(bus, 0x606, 1);
    out<uint16_t>(bus, 0x605, 0x0101);
    CHECK(events.log.empty());
    out<uint8_t>(bus, 0x606, 1);
    CHECK(events.log == "reset ");
}

TEST_CASE("ResetRegister: only its value resets") {
    Events events;
    ResetRegister reset(events, 1);
    Bus bus;
    bus.place(0, 1, reset);
    for (const int value : {0, 2, 0xFE})
        out(bus, 0, static_cast<uint8_t>(value));
    CHECK(events.log.empty());
    CHECK(in<uint8_t>(bus, 0) == 0);
}

TEST_CASE("SleepRegisters: power off takes SLP_EN with the type of S5") {
    Events events;
    SleepRegisters sleep(events, 5);
    Bus bus;
    bus.place(0, 2, sleep);
    out<uint8_t>(bus, 0, 5 << 2);           // type without enable
    out<uint8_t>(bus, 0, 0x20 | (1 << 2));  // S1
    out<uint8_t>(bus, 1, 0x80);             // Linux clears WAK_STS first
    CHECK(events.log.empty());
    out<uint8_t>(bus, 0, 0x20 | (5 << 2));
    CHECK(events.log == "off ");
}

TEST_CASE("GenericEventDevice: a whole read takes the events, half a read does not") {
    GenericEventDevice ged(EventFd::create().value());
    Bus bus;
    bus.place(0x600, 4, ged);
    CHECK(in<uint32_t>(bus, 0x600) == 0U);
    ged.raise(GenericEventDevice::kPowerButton);
    ged.raise(GenericEventDevice::kPowerButton);
    CHECK(ged.line().consume());
    CHECK(in<uint8_t>(bus, 0x600) == 0U);
    CHECK(in<uint32_t>(bus, 0x600) == GenericEventDevice::kPowerButton);
    CHECK(in<uint32_t>(bus, 0x600) == 0U);
}

TEST_CASE("Pvpanic: tells what it knows; a panic counts, a loaded crash kernel does not") {
    Events events;
    Pvpanic pvpanic(events);
    Bus bus;
    bus.place(0x505, 1, pvpanic);
    CHECK(in<uint8_t>(bus, 0x505) == 3);
    out<uint8_t>(bus, 0x505, 2);
    CHECK(events.log.empty());
    out<uint8_t>(bus, 0x505, 1);
    CHECK(events.log == "panic ");
}
