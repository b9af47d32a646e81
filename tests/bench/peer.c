// The host's side of tools/bench: what a guest's streams and frames come from and go to, and the
// floor: the same work done by this process alone.
//
//   peer sink PATH               reads what a client of the Unix socket PATH sends, to its end
//   peer source PATH BYTES       writes BYTES to a client
//   peer echo PATH               writes back what a client sends
//   peer frames TAP BYTES        sends frames of BYTES to the TAP's guest until it is killed
//   peer floor-stream BYTES SIZE         BYTES in writes of SIZE through a Unix socket
//   peer floor-echo OPS SIZE             round trips of SIZE bytes over one
//   peer floor-read FILE OPS             reads of 4 KiB at random places, one at a time
//   peer floor-out TAP BYTES FRAMES      writes frames into a TAP
//   peer floor-in TAP FRAMES             reads frames from a TAP, which `peer frames` sends
// Prints `ready` when it may be used; the floors print `floor ns=N`. The floors of two sides put
// one on the first CPU and the other on the last.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kChunk = 1 << 20, kEtherType = 0x88b5, kVnetHeader = 12, kBlock = 4096, kBurst = 32 };

static char chunk[kChunk];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void ready(void) {
    puts("ready");
    fflush(stdout);
}

static int floor_is(uint64_t nanoseconds) {
    printf("floor ns=%llu\n", (unsigned long long)nanoseconds);
    return 0;
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static int last_cpu(void) {
    return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

static int client_of(const char* path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr*)&address, sizeof address) || listen(listener, 1))
        err(1, "%s", path);
    ready();
    int client = accept(listener, NULL, NULL);
    if (client < 0) err(1, "accept");
    return client;
}

static void write_all(int fd, uint64_t bytes, size_t size) {
    while (bytes) {
        ssize_t done = write(fd, chunk, bytes < size ? bytes : size);
        if (done <= 0) err(1, "write");
        bytes -= (uint64_t)done;
    }
}

static void drain(int fd) {
    while (read(fd, chunk, kChunk) > 0) {
    }
}

static int source(const char* path, uint64_t bytes) {
    int client = client_of(path);
    write_all(client, bytes, kChunk);
    return 0;
}

static int echo(int client) {
    ssize_t got;
    while ((got = read(client, chunk, kChunk)) > 0)
        write_all(client, (uint64_t)got, (size_t)got);
    return 0;
}

static int packet_socket(const char* name) {
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) err(1, "packet socket");
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(kEtherType),
                             .sll_ifindex = (int)if_nametoindex(name)};
    if (bind(fd, (struct sockaddr*)&to, sizeof to)) err(1, "%s", name);
    int one = 1;
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    return fd;
}

// Frames that the full queue of TAP `name` has refused so far. (/sys shows another namespace's.)
static uint64_t dropped(int statistics, const char* name) {
    static char text[8192];
    ssize_t size = pread(statistics, text, sizeof text - 1, 0);
    if (size <= 0) err(1, "/proc/net/dev");
    text[size] = 0;
    const char* line = strstr(text, name);
    unsigned long long count = 0;
    if (!line || sscanf(line + strlen(name), ": %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
                        &count) != 1)
        errx(1, "%s is not in /proc/net/dev", name);
    return count;
}

_Noreturn static void frames(const char* name, size_t bytes) {
    int fd = packet_socket(name), statistics = open("/proc/net/dev", O_RDONLY);
    memset(chunk, 0xff, 12);
    chunk[12] = (char)(kEtherType >> 8);
    chunk[13] = (char)(kEtherType & 0xff);
    struct iovec part = {chunk, bytes};
    struct mmsghdr burst[kBurst];
    for (int i = 0; i < kBurst; i++)
        burst[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    ready();
    // The receiver may share this CPU, so none of its time goes into frames that are refused.
    for (uint64_t before = dropped(statistics, name), after;; before = after) {
        sendmmsg(fd, burst, kBurst, 0);
        after = dropped(statistics, name);
        if (after != before) usleep(200);
    }
}

static int floor_stream(uint64_t bytes, size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) err(1, "socketpair");
    uint64_t begin = now();
    if (fork() == 0) {
        pin(last_cpu());
        write_all(ends[0], bytes, size);
        _exit(0);
    }
    close(ends[0]);
    pin(0);
    drain(ends[1]);
    return floor_is(now() - begin);
}

static int floor_echo(uint64_t ops, size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) err(1, "socketpair");
    if (fork() == 0) {
        pin(last_cpu());
        close(ends[0]);
        _exit(echo(ends[1]));
    }
    close(ends[1]);
    pin(0);
    uint64_t begin = now();
    for (uint64_t i = 0; i < ops; i++) {
        write_all(ends[0], size, size);
        for (size_t got = 0; got < size;) {
            ssize_t part = read(ends[0], chunk, size - got);
            if (part <= 0) err(1, "read");
            got += (size_t)part;
        }
    }
    return floor_is(now() - begin);
}

static int floor_read(const char* path, uint64_t ops) {
    int fd = open(path, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status)) err(1, "%s", path);
    uint64_t blocks = (uint64_t)status.st_size / kBlock, state = 0x2545f4914f6cdd1d;
    pin(0);
    uint64_t begin = now();
    for (uint64_t i = 0; i < ops; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        if (pread(fd, chunk, kBlock, (off_t)(state % blocks * kBlock)) != kBlock) err(1, "read");
    }
    return floor_is(now() - begin);
}

static int open_tap(const char* name) {
    int fd = open("/dev/net/tun", O_RDWR);
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    int size = kVnetHeader;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETVNETHDRSZ, &size))
        err(1, "%s", name);
    return fd;
}

static int floor_out(const char* name, size_t bytes, uint64_t count) {
    int fd = open_tap(name);
    memset(chunk + kVnetHeader, 0xff, 12);
    chunk[kVnetHeader + 12] = (char)(kEtherType >> 8);
    chunk[kVnetHeader + 13] = (char)(kEtherType & 0xff);
    pin(0);
    uint64_t begin = now();
    for (uint64_t i = 0; i < count; i++)
        if (write(fd, chunk, kVnetHeader + bytes) < 0) err(1, "write");
    return floor_is(now() - begin);
}

static int floor_in(const char* name, uint64_t count) {
    int fd = open_tap(name);
    pin(0);
    ready();
    if (read(fd, chunk, kChunk) <= 0) err(1, "read");
    uint64_t begin = now();
    for (uint64_t i = 0; i < count; i++)
        if (read(fd, chunk, kChunk) <= 0) err(1, "read");
    return floor_is(now() - begin);
}

static uint64_t number(const char* text) {
    return strtoull(text, NULL, 10);
}

int main(int count, char** words) {
    const char* mode = count > 2 ? words[1] : "";
    const char* where = count > 2 ? words[2] : "";
    signal(SIGPIPE, SIG_IGN);
    if (count == 3 && !strcmp(mode, "sink")) return drain(client_of(where)), 0;
    if (count == 3 && !strcmp(mode, "echo")) return echo(client_of(where));
    if (count == 4 && !strcmp(mode, "source")) return source(where, number(words[3]));
    if (count == 4 && !strcmp(mode, "frames")) frames(where, number(words[3]));
    if (count == 4 && !strcmp(mode, "floor-stream"))
        return floor_stream(number(where), number(words[3]));
    if (count == 4 && !strcmp(mode, "floor-echo"))
        return floor_echo(number(where), number(words[3]));
    if (count == 4 && !strcmp(mode, "floor-read")) return floor_read(where, number(words[3]));
    if (count == 4 && !strcmp(mode, "floor-in")) return floor_in(where, number(words[3]));
    if (count == 5 && !strcmp(mode, "floor-out"))
        return floor_out(where, number(words[3]), number(words[4]));
    errx(2, "see the head of tests/bench/peer.c");
}
