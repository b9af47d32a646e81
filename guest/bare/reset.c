// Resets the machine by the FADT's reset register.
#include "lib/bare.h"

void bare_main(void) {
    reset_machine();
}
