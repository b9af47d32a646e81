// Says that it runs, then never exits again: what a monitor must be able to stop.
#include "lib/bare.h"

void bare_main(void) {
    put_text("spinning\n");
    for (;;)
        cpu_relax();
}
