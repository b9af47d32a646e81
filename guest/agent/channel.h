// guest/agent/channel.h: the guest's side of the command channel, a disk that carries one command
// in and its output and exit status out. The format, with its reasons: docs/command-channel.md.
#ifndef MOTE_GUEST_AGENT_CHANNEL_H
#define MOTE_GUEST_AGENT_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

enum FrameType { kFrameStdout = 1, kFrameStderr = 2, kFrameEnd = 3, kFrameSkip = 4 };

enum {
    kSector = 512,
    kFrameHeader = 32,
    kMaxFrame = 128 * 1024,
    kMaxPayload = kMaxFrame - kFrameHeader,
    kMaxRequest = 1024 * 1024,
};

struct Channel {
    int fd;
    uint64_t ring_offset, ring_length;
    uint64_t position;  // bytes of the ring used since the start, skipped ones included
    uint64_t consumed;  // what the host has read of them, as far as we know
    uint64_t sequence;
    unsigned char* frame;  // kMaxFrame bytes, aligned for O_DIRECT
};

// Opens the disk and checks its header. On failure returns NULL and sets *why.
struct Channel* channel_open(const char* path, const char** why);

// The request: NUL-terminated `key=value` strings; *length is their total. NULL and *why on
// failure.
char* channel_request(struct Channel* channel, size_t* length, const char** why);

// Where the caller puts a payload of up to kMaxPayload bytes before channel_send.
unsigned char* channel_payload(struct Channel* channel);

// Sends one frame; waits while the host has not made room in the ring. -1 on an I/O error.
int channel_send(struct Channel* channel, enum FrameType type, size_t length);

#endif
