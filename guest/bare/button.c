// Waits for the power button and obeys it. The generic event device's selector is polled, as no
// interrupt is taken here; reading it clears it.
#include "lib/bare.h"

enum { kEventSelector = 0x600 };

void bare_main(void) {
    put_text("waiting\n");
    for (;;) {
        uint32_t events = in32(kEventSelector);
        if (events) {
            put_text("button events=");
            put_number(events);
            put_char('\n');
            power_off();
        }
        spin_cycles(1000 * 1000);
    }
}
