// Powers the machine off by ACPI's sleep control register.
#include "lib/bare.h"

void bare_main(void) {
    power_off();
}
