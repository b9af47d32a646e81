// The shortest run: one line on the serial port, then the end. Its first byte is what a benchmark
// waits for.
#include "lib/bare.h"

void bare_main(void) {
    put_text("hello\n");
}
