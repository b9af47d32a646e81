#include "boot/x86_64/dsdt.h"

#include "boot/aml.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

using namespace aml;

constexpr uint8_t kPowerButtonPressed = 0x80;     // ACPI 6.5, 4.8.2.2.1.2
constexpr uint64_t kPowerButtonEvent = 1U << 0U;  // in the GED's select register

/// Linux binds LNRO0005 to virtio-mmio; stock kernels have no other way to find it.
Bytes virtio_device(const BootDevice& device, unsigned index) {
    return aml::device(
        fmt::format("V{:03X}", index),
        join({name("_HID", string("LNRO0005")), name("_UID", integer(index)),
              name("_CRS", resources({memory32_fixed(static_cast<uint32_t>(device.address.value),
                                                     static_cast<uint32_t>(device.size)),
                                      interrupt(device.gsi)}))}));
}

Bytes com1() {
    return device("COM1", join({name("_HID", string("PNP0501")), name("_UID", integer(0)),
                                name("_CRS", resources({io_ports(layout::kCom1Port, 8),
                                                        interrupt(layout::kCom1Gsi)}))}));
}

Bytes pvpanic() {
    return device("PEVT", join({name("_HID", string("QEMU0001")),
                                name("_CRS", resources({io_ports(layout::kPvpanicPort, 1)}))}));
}

Bytes power_button() {
    return device("PWRB", join({name("_HID", string("PNP0C0C")), name("_UID", integer(0))}));
}

/// The generic event device (ACPI 6.5, 5.6.9): one interrupt, and a register that says what for.
/// Reading it clears it, so it is read once for each interrupt.
Bytes generic_event_device() {
    const Bytes is_power_button = bit_and(local0(), integer(kPowerButtonEvent));
    return device(
        "GED",
        join(
            {name("_HID", string("ACPI0013")), name("_UID", integer(0)),
             name("_CRS", resources({interrupt(layout::kGedGsi)})),
             port_region("EREG", layout::kGedSelectPort, 4), field32("EREG", "ESEL"),
             method("_EVT", 1,
                    join({store(path("ESEL"), local0()),
                          if_true(is_power_button, notify("\\_SB.PWRB", kPowerButtonPressed))}))}));
}

}  // namespace

Bytes make_dsdt_body(const BootConfig& config) {
    Bytes devices = join({power_button(), generic_event_device()});
    if (config.serial) append(devices, com1());
    if (config.pvpanic) append(devices, pvpanic());
    for (unsigned i = 0; i < config.virtio.size(); ++i)
        append(devices, virtio_device(config.virtio[i], i));
    const Bytes zero = integer(0);
    return join({scope("\\_SB", devices),
                 name("\\_S5", package({integer(layout::kSleepTypePowerOff), zero, zero, zero}))});
}

}  // namespace mote
