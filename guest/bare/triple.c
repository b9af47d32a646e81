// Crashes: an exception without a handler, three times over.
#include "lib/bare.h"

void bare_main(void) {
    triple_fault();
}
