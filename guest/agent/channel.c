#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kAcknowledgement = 512, kWaitUs = 5000 };

static uint32_t get32(const unsigned char* at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get64(const unsigned char* at) {
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static void put32(unsigned char* at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static void put64(unsigned char* at, uint64_t value) {
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

// CRC-32 as zlib has it.
static uint32_t crc32(const unsigned char* data, size_t length) {
    static uint32_t table[256];
    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0);
            table[i] = value;
        }
    }
    uint32_t crc = ~0u;
    while (length--)
        crc = (crc >> 8) ^ table[(crc ^ *data++) & 255];
    return ~crc;
}

static int read_at(int fd, void* to, size_t length, uint64_t offset) {
    for (size_t done = 0; done < length;) {
        ssize_t n = pread(fd, (char*)to + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    return 0;
}

struct Channel* channel_open(const char* path, const char** why) {
    static struct Channel channel;
    void* memory;
    *why = "cannot be opened";
    channel.fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (channel.fd < 0) return NULL;
    *why = "out of memory";
    if (posix_memalign(&memory, 4096, kMaxFrame) != 0) return NULL;
    channel.frame = memory;
    *why = "header cannot be read";
    if (read_at(channel.fd, channel.frame, kSector, 0) != 0) return NULL;
    *why = "is not a command disk";
    if (memcmp(channel.frame, "motecmd1", 8) != 0) return NULL;
    channel.ring_offset = get64(channel.frame + 24);
    channel.ring_length = get64(channel.frame + 32);
    *why = "has a ring that cannot be used";
    if (channel.ring_offset % kSector || channel.ring_length % kSector ||
        channel.ring_length < 2 * kMaxFrame)
        return NULL;
    return &channel;
}

char* channel_request(struct Channel* channel, size_t* length, const char** why) {
    void* memory;
    *why = "header cannot be read";
    if (read_at(channel->fd, channel->frame, kSector, 0) != 0) return NULL;
    uint32_t offset = get32(channel->frame + 8), size = get32(channel->frame + 12);
    uint32_t crc = get32(channel->frame + 16);
    size_t padded = ((size_t)size + kSector - 1) / kSector * kSector;
    *why = "request is too long or misplaced";
    if (size == 0 || size > kMaxRequest || offset % kSector) return NULL;
    *why = "out of memory";
    if (posix_memalign(&memory, 4096, padded) != 0) return NULL;
    char* request = memory;
    *why = "request cannot be read";
    if (read_at(channel->fd, request, padded, offset) != 0) return NULL;
    *why = "request is damaged";
    if (crc32((unsigned char*)request, size) != crc || request[size - 1] != '\0') return NULL;
    *length = size;
    return request;
}

unsigned char* channel_payload(struct Channel* channel) {
    return channel->frame + kFrameHeader;
}

// Reads how far the host is; the position and its complement stand side by side, as proof.
static int update_consumed(struct Channel* channel) {
    static unsigned char sector[kSector] __attribute__((aligned(4096)));
    if (read_at(channel->fd, sector, sizeof sector, kAcknowledgement) != 0) return -1;
    uint64_t position = get64(sector);
    if (position == ~get64(sector + 8) && position <= channel->position)
        channel->consumed = position;
    return 0;
}

static int wait_for_room(struct Channel* channel, uint64_t wanted) {
    while (channel->position + wanted - channel->consumed > channel->ring_length) {
        uint64_t before = channel->consumed;
        if (update_consumed(channel) != 0) return -1;
        if (channel->consumed == before) usleep(kWaitUs);
    }
    return 0;
}

// Writes the frame that lies in channel->frame, `used` bytes of the ring.
static int write_frame(struct Channel* channel, enum FrameType type, size_t length, uint64_t used) {
    unsigned char* frame = channel->frame;
    size_t size = (kFrameHeader + length + kSector - 1) / kSector * kSector;
    if (wait_for_room(channel, used) != 0) return -1;
    memset(frame + kFrameHeader + length, 0, size - kFrameHeader - length);
    memcpy(frame, "mfrm", 4);
    put64(frame + 8, channel->sequence++);
    put32(frame + 16, type);
    put32(frame + 20, (uint32_t)length);
    put64(frame + 24, channel->position);
    put32(frame + 4, crc32(frame + 8, kFrameHeader - 8 + length));
    uint64_t at = channel->ring_offset + channel->position % channel->ring_length;
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(channel->fd, frame + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    channel->position += used;
    return 0;
}

int channel_send(struct Channel* channel, enum FrameType type, size_t length) {
    uint64_t size = (kFrameHeader + length + kSector - 1) / kSector * kSector;
    uint64_t left = channel->ring_length - channel->position % channel->ring_length;
    if (left < size) {
        // A frame lies in one piece: tell the host to go on at the ring's start. The payload waits
        // in the frame's memory behind the header; the skip frame has none of its own.
        static unsigned char kept[kSector];
        memcpy(kept, channel->frame, kSector);
        if (write_frame(channel, kFrameSkip, 0, left) != 0) return -1;
        memcpy(channel->frame, kept, kSector);
    }
    return write_frame(channel, type, length, size);
}
