// The init that the benchmark boots to, under every monitor: ends the machine at once, the way the
// kernel's command line says. The kernel hands words it does not know to init as its environment:
// `end=poweroff` or `end=reboot`.
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void) {
    const char* end = getenv("end");
    reboot(end && strcmp(end, "reboot") == 0 ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;)
        pause();
}
