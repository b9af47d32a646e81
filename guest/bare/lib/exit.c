// The ways a machine ends. The ACPI registers are those of mote's people's mode
// (docs/memory-map.md).
#include "bare.h"

enum {
    kSleepControl = 0x604,
    kSleepTypeS5 = 5 << 2 | 0x20,  // SLP_TYP 5, SLP_EN (ACPI 6.5, 4.8.3.7)
    kAcpiReset = 0x606,
    kI8042Command = 0x64,
    kI8042PulseReset = 0xfe,
    kIsaDebugExit = 0xf4,
};

// A monitor may need a moment to stop a vCPU that keeps running.
static void wait_for_the_end(void) {
    spin_cycles(100 * 1000 * 1000);
}

void spin_cycles(uint64_t cycles) {
    for (uint64_t start = read_tsc(); read_tsc() - start < cycles;)
        cpu_relax();
}

_Noreturn void triple_fault(void) {
    for (;;)
        __asm__ volatile("ud2");  // no IDT: the fault cannot be delivered, nor its double fault
}

_Noreturn void power_off(void) {
    out8(kSleepControl, kSleepTypeS5);
    wait_for_the_end();
    fail("the machine is still on after power-off");
}

_Noreturn void reset_machine(void) {
    out8(kAcpiReset, 1);
    wait_for_the_end();
    fail("the machine is still on after reset");
}

_Noreturn void bare_exit(void) {
    bool any = !cmdline_find("bare.exit");
    if (any || cmdline_is("bare.exit", "acpi")) {
        out8(kSleepControl, kSleepTypeS5);
        wait_for_the_end();
    }
    if (cmdline_is("bare.exit", "acpi-reset")) {
        out8(kAcpiReset, 1);
        wait_for_the_end();
    }
    if (any || cmdline_is("bare.exit", "i8042")) {
        out8(kI8042Command, kI8042PulseReset);
        wait_for_the_end();
    }
    if (any || cmdline_is("bare.exit", "debug")) out32(kIsaDebugExit, 0);
    triple_fault();
}

_Noreturn void fail(const char* text) {
    put_text("fail ");
    put_text(text);
    put_char('\n');
    bare_exit();
}
