#include "boot/cmdline.h"

#include "memory/x86_64/layout.h"

namespace mote {

std::string default_cmdline(const ConsoleDevices& consoles, bool acpi,
                            std::optional<RootDevice> root) {
    std::string line;
    const auto add = [&line](std::string_view words) {
        if (!line.empty()) line += ' ';
        line += words;
    };
    if (consoles.serial || consoles.virtio) add(consoles.serial ? "console=ttyS0" : "console=hvc0");
    // Each port that may be there is probed, at an exit a register: name how many there are.
    add(consoles.serial ? "8250.nr_uarts=1" : "8250.nr_uarts=0");
    // A panic has been printed, and reported by pvpanic, when the guest reboots: at once, because
    // nobody reads the screen of a guest that hangs.
    add("panic=-1");
    // There is no PCI bus, and looking for one costs port accesses.
    add("pci=off");
    // KVM keeps the TSCs of all vCPUs in step: no test at each CPU's start, no watchdog timer
    // later.
    add("tsc=reliable");
    // virtio-mmio does DMA to all of RAM: no 64 MiB of bounce buffers in guests above 3 GiB.
    add("swiotlb=noforce");
    // force: power-off and reboot do not first stop the other CPUs and clear every IOAPIC input,
    // some 320 exits for a machine that is about to vanish. acpi: by the reset register; a kernel
    // with EFI support does so only if told: on hardware-reduced ACPI it relies on EFI, and without
    // that it jumps to a BIOS that is not there. pci, without ACPI: by port 0xCF9, instead of
    // asking an i8042 for half a second.
    add(acpi ? "reboot=acpi,force" : "reboot=pci,force");
    // Without ACPI there is no RSDP to look for; and the timer interrupt of the 8254, which only an
    // MP table makes Linux look for, never comes.
    if (!acpi) add("acpi=off no_timer_check");
    if (root) add(fmt::format("root={} {}", root->path, root->read_only ? "ro" : "rw"));
    return line;
}

Result<> write_cmdline(const GuestMemory& memory, const std::string& cmdline) {
    if (cmdline.find('\0') != std::string::npos)
        return fail("command line: contains a NUL byte; remove it");
    if (cmdline.size() >= layout::kCommandLineSize)
        return fail(
            "command line: {} characters with what the machine adds, the limit is {}; "
            "shorten it",
            cmdline.size(), layout::kCommandLineSize - 1);
    if (!memory.write(layout::kCommandLine,
                      std::as_bytes(std::span(cmdline.c_str(), cmdline.size() + 1))))
        return fail("command line: no memory at {:#x}; give the guest more",
                    layout::kCommandLine.value);
    return {};
}

}  // namespace mote
