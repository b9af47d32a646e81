// Tells pvpanic that the guest has panicked, and goes on as a kernel does: it spins.
#include "lib/bare.h"

enum { kPvpanic = 0x505, kPanicked = 1 };

void bare_main(void) {
    if (!(in8(kPvpanic) & kPanicked)) fail("pvpanic does not offer the panic event");
    out8(kPvpanic, kPanicked);
    for (;;)
        cpu_relax();
}
