// The guest's side of test_vsock.py, a static program:
//   vsock_peer echo PORT COUNT     sends back what COUNT clients of the host send, at once
//   vsock_peer send PORT BYTES     to the host, a pattern; then hears its last words
//   vsock_peer receive PORT        from the host, to the end
//   vsock_peer many PORT COUNT     connections to an echo of the host's, at once
// Each ends with one line `peer key=value ...`; `sum` is an Adler-32.
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
// After sys/socket.h: it uses sa_family_t.
#include <linux/vm_sockets.h>

enum { kMost = 1024, kChunk = 65536 };

static uint8_t chunk[kChunk];

static void die(const char* what) {
    printf("peer failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t adler(uint32_t sum, const uint8_t* data, size_t size) {
    uint32_t a = sum & 0xffff, b = sum >> 16;
    for (size_t i = 0; i < size; i++) {
        a += data[i], b += a;
        if (i % 5552 == 5551) a %= 65521, b %= 65521;
    }
    return b % 65521 << 16 | a % 65521;
}

static int open_host(unsigned port) {
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr*)&address, sizeof address) != 0) die("connect");
    return fd;
}

static void write_all(int fd, const uint8_t* data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done <= 0) die("write");
        data += done;
        size -= (size_t)done;
    }
}

static void echo(unsigned port, int count) {
    struct pollfd fds[kMost + 1];
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0), open_count = 0, accepted = 0;
    if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0) die("bind");
    if (listen(listener, kMost) != 0) die("listen");
    fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    int most = 0;
    while (accepted < count || open_count) {
        if (poll(fds, (nfds_t)open_count + 1, -1) < 0) die("poll");
        for (int i = open_count; i > 0; i--) {
            if (!fds[i].revents) continue;
            ssize_t got = read(fds[i].fd, chunk, sizeof chunk);
            if (got > 0) {
                write_all(fds[i].fd, chunk, (size_t)got);
                continue;
            }
            close(fds[i].fd);
            fds[i] = fds[open_count--];
        }
        if (fds[0].revents && open_count < kMost) {
            fds[++open_count] =
                (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
            accepted++;
        }
        if (open_count > most) most = open_count;
    }
    printf("peer most=%d\n", most);
}

static void send_pattern(unsigned port, uint64_t bytes) {
    int fd = open_host(port);
    uint32_t sum = 1;
    for (uint64_t from = 0; from < bytes;) {
        size_t size = bytes - from < kChunk ? (size_t)(bytes - from) : kChunk;
        for (size_t i = 0; i < size; i++)
            chunk[i] = (uint8_t)((from + i) * 31 >> 3);
        sum = adler(sum, chunk, size);
        write_all(fd, chunk, size);
        from += size;
    }
    shutdown(fd, SHUT_WR);
    ssize_t got = read(fd, chunk, sizeof chunk - 1);
    chunk[got > 0 ? got : 0] = '\0';
    printf("peer sum=%u last=%s\n", sum, (const char*)chunk);
}

static void receive(unsigned port) {
    int fd = open_host(port);
    uint64_t bytes = 0;
    uint32_t sum = 1;
    ssize_t got;
    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        sum = adler(sum, chunk, (size_t)got);
        bytes += (uint64_t)got;
    }
    if (got < 0) die("read");
    printf("peer bytes=%llu sum=%u\n", (unsigned long long)bytes, sum);
}

static void many(unsigned port, int count) {
    static int fds[kMost];
    int right = 0;
    for (int i = 0; i < count; i++)
        fds[i] = open_host(port);
    for (int i = 0; i < count; i++)
        write_all(fds[i], (const uint8_t*)&i, sizeof i);
    for (int i = 0; i < count; i++) {
        int answer = -1;
        right += read(fds[i], &answer, sizeof answer) == sizeof answer && answer == i;
    }
    printf("peer right=%d\n", right);
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    unsigned port = (unsigned)atoi(argv[2]);
    uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (strcmp(argv[1], "echo") == 0)
        echo(port, (int)number);
    else if (strcmp(argv[1], "send") == 0)
        send_pattern(port, number);
    else if (strcmp(argv[1], "receive") == 0)
        receive(port);
    else
        many(port, number < kMost ? (int)number : kMost);
    return 0;
}
