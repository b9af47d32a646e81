// tests/tools/channel_writer.c: the guest's side of the command channel (guest/agent/channel.c) on
// an image file. Sends COUNT frames of growing size, byte n of the stream being n modulo 251, then
// the status 42.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../guest/agent/channel.h"

int main(int argc, char** argv) {
    const char* why;
    size_t length;
    struct Channel* channel = channel_open(argv[1], &why);
    char* request = channel ? channel_request(channel, &length, &why) : NULL;
    if (argc < 3 || !request) {
        fprintf(stderr, "%s: %s\n", argv[1], why);
        return 1;
    }
    printf("%zu %s\n", length, request);
    fflush(stdout);
    unsigned long sent = 0;
    for (int i = 0; i < atoi(argv[2]); i++) {
        size_t size = ((size_t)i * 7919) % (kMaxPayload + 1);
        for (size_t at = 0; at < size; at++)
            channel_payload(channel)[at] = (unsigned char)((sent + at) % 251);
        if (channel_send(channel, i % 2 ? kFrameStderr : kFrameStdout, size) != 0) return 1;
        sent += size;
    }
    int status = 42;
    memcpy(channel_payload(channel), &status, sizeof status);
    return channel_send(channel, kFrameEnd, sizeof status) == 0 ? 0 : 1;
}
