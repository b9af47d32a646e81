// A block device's driver, one request queue (virtio 1.3, 5.2).
#pragma once
#include "virtqueue.h"

enum {
    kBlockIn = 0,
    kBlockOut = 1,
    kBlockFlush = 4,
    kBlockGetId = 8,
    kBlockDiscard = 11,
    kBlockWriteZeroes = 13,
};

enum { kBlockOk = 0, kBlockIoError = 1, kBlockUnsupported = 2, kBlockPending = 0xee };

#define VIRTIO_BLK_F_RO (1ull << 5)
#define VIRTIO_BLK_F_FLUSH (1ull << 9)
#define VIRTIO_BLK_F_DISCARD (1ull << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ull << 14)

enum { kSectorSize = 512, kBlockIdSize = 20, kSlots = 128, kBanks = 2 };

struct block_header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};

// The payload of discard and write-zeroes (virtio 1.3, 5.2.6).
struct block_range {
    uint64_t sector;
    uint32_t sectors;
    uint32_t flags;
};

struct block_device {
    struct virtio_device device;
    struct virtqueue queue;
    uint64_t features;
    uint64_t sectors;
    unsigned slots;   // requests that fit the queue at once
    unsigned stride;  // ring descriptors of one request
    bool indirect;    // hand requests over as indirect tables
    unsigned bank;    // which set of rings and buffers (< kBanks): one for each device in use
};

// Finds the n-th block device and brings it up with what `wanted` names and the device offers.
// Returns NULL, or the reason why not.
const char* block_open(struct block_device* block, unsigned n, uint64_t wanted);
// Brings it up (again) from reset.
const char* block_start(struct block_device* block, uint64_t wanted);
// Writes a request into slot `slot` (< slots) and adds it; the slot stays taken until block_take()
// returns it.
void block_add(struct block_device* block, unsigned slot, uint32_t type, uint64_t sector,
               void* data, uint32_t length);
// Takes a completed request: its slot, or -1. `*status` is the status byte.
int block_take(struct block_device* block, uint8_t* status);
// One whole request, waited for: its status byte, or kBlockPending when the device needs a reset.
uint8_t block_request(struct block_device* block, uint32_t type, uint64_t sector, void* data,
                      uint32_t length);
