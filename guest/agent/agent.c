// guest/agent/agent.c: prepares a guest and, as its init, runs one command.
//
//   mote-agent --setup   mounts what every guest needs, names it, brings up lo (from inittab)
//   as PID 1             the same, then runs the command that the disk `mote.command=` of the
//   kernel's command
//                        line asks for (docs/command-channel.md), and powers the machine off
//
// The power button ends the command with SIGTERM, and with SIGKILL 5 s later.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"

enum { kMaxStrings = 4096, kButtons = 4, kGraceMs = 5000 };

struct Request {
    char* args[kMaxStrings + 1];
    char* env[kMaxStrings + 1];
    int arg_count, env_count;
    const char* cwd;
};

static void set_up(void) {
    static const struct {
        const char *source, *target, *type, *options;
    } kMounts[] = {
        {"dev", "/dev", "devtmpfs", NULL},
        {"proc", "/proc", "proc", NULL},
        {"sys", "/sys", "sysfs", NULL},
        {"devpts", "/dev/pts", "devpts", "gid=5,mode=0620,ptmxmode=0666"},
        {"shm", "/dev/shm", "tmpfs", "mode=1777"},
        {"run", "/run", "tmpfs", "mode=0755"},
        {"tmp", "/tmp", "tmpfs", "mode=1777"},
    };
    for (size_t i = 0; i < sizeof kMounts / sizeof kMounts[0]; i++) {
        mkdir(kMounts[i].target, 0755);
        // Busy: the kernel or the initramfs has mounted it already.
        if (mount(kMounts[i].source, kMounts[i].target, kMounts[i].type, 0, kMounts[i].options) !=
                0 &&
            errno != EBUSY)
            fprintf(stderr, "mote-agent: cannot mount %s: %s\n", kMounts[i].target,
                    strerror(errno));
    }
    if (sethostname("mote", 4) != 0) perror("mote-agent: hostname");
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        ioctl(fd, SIOCSIFFLAGS, &loopback);
        close(fd);
    }
}

// The value of `key` (with its '=') on the kernel's command line; false when it is not there.
static bool kernel_option(const char* key, char* value, size_t capacity) {
    static char text[4096];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = '\0';
    for (char* word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
        if (strncmp(word, key, strlen(key)) != 0) continue;
        snprintf(value, capacity, "%s", word + strlen(key));
        return true;
    }
    return false;
}

static void parse_request(char* text, size_t length, struct Request* request) {
    static char* defaults[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "HOME=/root", "USER=root", "SHELL=/bin/sh"};
    request->cwd = "/root";
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        request->env[request->env_count++] = defaults[i];
    for (char* at = text; at < text + length; at += strlen(at) + 1) {
        if (strncmp(at, "arg=", 4) == 0 && request->arg_count < kMaxStrings) {
            request->args[request->arg_count++] = at + 4;
        } else if (strncmp(at, "env=", 4) == 0 && request->env_count < kMaxStrings) {
            request->env[request->env_count++] = at + 4;
        } else if (strncmp(at, "cwd=", 4) == 0) {
            request->cwd = at + 4;
        }
    }
}

static _Noreturn void become_command(struct Request* request, const int output[2],
                                     const int error[2]) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(output[1], 1);
    dup2(error[1], 2);
    if (chdir(request->cwd) != 0) {
        dprintf(2, "%s: %s\n", request->cwd, strerror(errno));
        _exit(126);
    }
    environ = request->env;
    execvp(request->args[0], request->args);
    int status = errno == ENOENT ? 127 : 126;
    dprintf(2, "%s: %s\n", request->args[0], status == 127 ? "not found" : strerror(errno));
    _exit(status);
}

// Passes what `pipe` holds on as one frame: true when there may be more, false when it is empty or
// ended.
static bool forward(struct Channel* channel, struct pollfd* pipe, enum FrameType type) {
    ssize_t n = read(pipe->fd, channel_payload(channel), kMaxPayload);
    if (n < 0) return errno == EINTR;
    if (n == 0) {
        pipe->fd = -1;
        return false;
    }
    if (channel_send(channel, type, (size_t)n) != 0) {
        fprintf(stderr, "mote-agent: the command disk cannot be written: %s\n", strerror(errno));
        pipe->fd = -1;
    }
    return true;
}

static bool power_pressed(int fd) {
    struct input_event event;
    bool pressed = false;
    while (read(fd, &event, sizeof event) == (ssize_t)sizeof event)
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1) pressed = true;
    return pressed;
}

// Reaps what ended; true when the command is among it.
static bool reap(pid_t command, int* status) {
    bool ended = false;
    int result;
    for (pid_t pid; (pid = waitpid(-1, &result, WNOHANG)) > 0;) {
        if (pid != command) continue;
        ended = true;
        *status = WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
    }
    return ended;
}

// Carries output until the command ends; returns its exit status. polls[0..1] are its pipes,
// polls[2] tells of ended children, the rest are power buttons.
static int supervise(struct Channel* channel, pid_t command, struct pollfd* polls, int count) {
    int status = 0, grace = -1;
    for (;;) {
        int ready = poll(polls, (nfds_t)count, grace);
        if (ready == 0) kill(-command, SIGKILL);
        if (polls[0].revents) forward(channel, &polls[0], kFrameStdout);
        if (polls[1].revents) forward(channel, &polls[1], kFrameStderr);
        if (polls[2].revents) {
            struct signalfd_siginfo info;
            if (read(polls[2].fd, &info, sizeof info) > 0 && reap(command, &status)) break;
        }
        for (int i = 3; i < count; i++) {
            if (!polls[i].revents || !power_pressed(polls[i].fd)) continue;
            kill(-command, SIGTERM);
            grace = kGraceMs;
        }
    }
    // What the command itself wrote is in the pipes; what its children write later is not waited
    // for.
    while (polls[0].fd >= 0 && forward(channel, &polls[0], kFrameStdout))
        continue;
    while (polls[1].fd >= 0 && forward(channel, &polls[1], kFrameStderr))
        continue;
    return status;
}

static int open_buttons(struct pollfd* polls) {
    int count = 0;
    for (int i = 0; i < kButtons; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) polls[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return count;
}

static int run(struct Channel* channel, struct Request* request) {
    struct pollfd polls[3 + kButtons];
    int output[2], error[2], status = 0;
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    if (pipe2(output, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0) return 126;
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    fcntl(error[0], F_SETFL, O_NONBLOCK);
    polls[0] = (struct pollfd){.fd = output[0], .events = POLLIN};
    polls[1] = (struct pollfd){.fd = error[0], .events = POLLIN};
    polls[2] = (struct pollfd){.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK),
                               .events = POLLIN};
    int count = 3 + open_buttons(polls + 3);
    pid_t command = fork();
    if (command < 0) return 126;
    if (command == 0) become_command(request, output, error);
    close(output[1]);
    close(error[1]);
    status = supervise(channel, command, polls, count);
    return status;
}

static void run_request(const char* disk) {
    static struct Request request;
    const char* why;
    size_t length;
    struct Channel* channel = channel_open(disk, &why);
    char* text = channel ? channel_request(channel, &length, &why) : NULL;
    if (!text) {
        fprintf(stderr, "mote-agent: command disk %s: %s\n", disk, why);
        return;
    }
    parse_request(text, length, &request);
    if (request.arg_count == 0) {
        fprintf(stderr, "mote-agent: command disk %s: no command in the request\n", disk);
        return;
    }
    int status = run(channel, &request);
    // The file systems first: whoever sees the status may end the machine.
    kill(-1, SIGKILL);
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    sync();
    memcpy(channel_payload(channel), &status, sizeof status);
    channel_send(channel, kFrameEnd, sizeof status);
}

int main(int argc, char** argv) {
    char disk[64];
    set_up();
    if (argc > 1 && strcmp(argv[1], "--setup") == 0) return 0;
    if (getpid() != 1) {
        fprintf(stderr, "mote-agent: either --setup, or as the kernel's init\n");
        return 2;
    }
    if (kernel_option("mote.command=", disk, sizeof disk)) {
        run_request(disk);
    } else {
        fprintf(stderr, "mote-agent: no mote.command= on the kernel's command line\n");
    }
    reboot(RB_POWER_OFF);
    return 1;
}
