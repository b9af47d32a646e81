// guest/initramfs/init.c: the init of the initramfs for Debian's stock kernel: loads the modules
// that a microVM needs, mounts the root disk and starts its init. One static program instead of a
// shell and its children: each process start is slow where virtualization is emulated.
//
// Kernel command line: root=/dev/vda, rootfstype=ext4, init=/sbin/init (the defaults), ro or rw.
// When the root cannot be used it says why and ends, which the kernel answers with a panic.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { kDeviceWaitMs = 10000, kPollMs = 5 };

struct Options {
    char root[128];
    char type[32];
    char init[128];
    bool read_only;
};

static _Noreturn void give_up(const char* what, const char* on) {
    fprintf(stderr, "initramfs: %s %s: %s\n", what, on, strerror(errno));
    exit(1);
}

static void open_console(void) {
    int fd = open("/dev/console", O_RDWR);
    if (fd < 0) fd = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    if (fd > 2) close(fd);
}

static void parse_command_line(struct Options* options) {
    static char text[4096];
    int fd = open("/proc/cmdline", O_RDONLY);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = '\0';
    for (char* word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
        if (strncmp(word, "root=", 5) == 0) {
            snprintf(options->root, sizeof options->root, "%s", word + 5);
        } else if (strncmp(word, "rootfstype=", 11) == 0) {
            snprintf(options->type, sizeof options->type, "%s", word + 11);
        } else if (strncmp(word, "init=", 5) == 0) {
            snprintf(options->init, sizeof options->init, "%s", word + 5);
        } else if (strcmp(word, "ro") == 0) {
            options->read_only = true;
        } else if (strcmp(word, "rw") == 0) {
            options->read_only = false;
        }
    }
}

// A module that does not load is told and left out: the machine may lack the device it is for.
static void load_modules(void) {
    FILE* order = fopen("/modules/order", "re");
    char name[96], path[128];
    if (!order) give_up("cannot read", "/modules/order");
    while (fscanf(order, "%95s", name) == 1) {
        snprintf(path, sizeof path, "/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 ||
            (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST && errno != ENODEV))
            fprintf(stderr, "initramfs: cannot load %s: %s\n", name, strerror(errno));
        if (fd >= 0) close(fd);
        unlink(path);  // frees the memory it takes
    }
    fclose(order);
    unlink("/modules/order");
}

static void wait_for(const char* device) {
    for (int waited = 0; access(device, F_OK) != 0; waited += kPollMs) {
        if (waited >= kDeviceWaitMs) give_up("no root disk", device);
        usleep(kPollMs * 1000);
    }
}

static void enter_root(const struct Options* options) {
    unsigned long flags = options->read_only ? MS_RDONLY : 0;
    if (mount(options->root, "/root", options->type, flags, NULL) != 0)
        give_up("cannot mount", options->root);
    if (mount("/dev", "/root/dev", NULL, MS_MOVE, NULL) != 0) give_up("cannot move", "/dev");
    umount("/proc");
    unlink("/init");
    if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
        chdir("/") != 0)
        give_up("cannot enter", options->root);
}

int main(void) {
    struct Options options = {.root = "/dev/vda", .type = "ext4", .init = "/sbin/init"};
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    open_console();
    parse_command_line(&options);
    load_modules();
    wait_for(options.root);
    enter_root(&options);
    execl(options.init, options.init, (char*)NULL);
    give_up("cannot start", options.init);
}
