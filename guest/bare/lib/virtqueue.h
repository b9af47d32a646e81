// A split virtqueue, driver side (virtio 1.3, 2.7). Chains have a fixed home: chain slot s owns the
// descriptors s * kChainLength ..., so that no free list is needed.
#pragma once
#include "virtio_mmio.h"

enum { kQueueMax = 256, kChainLength = 3 };

enum { kDescNext = 1, kDescWrite = 2, kDescIndirect = 4 };

struct virtq_desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct virtq_avail {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[kQueueMax + 1];  // ring[size] is used_event
};

struct virtq_used_element {
    uint32_t id;
    uint32_t length;
};

struct virtq_used {
    uint16_t flags;
    uint16_t index;
    struct virtq_used_element ring[kQueueMax + 1];  // the low half of ring[size].id is avail_event
};

// The rings, as the device sees them; one page each, so that tests can tell them apart.
struct virtq_rings {
    struct virtq_desc desc[kQueueMax] __attribute__((aligned(4096)));
    struct virtq_avail avail __attribute__((aligned(4096)));
    struct virtq_used used __attribute__((aligned(4096)));
};

struct virtqueue {
    struct virtio_device device;
    uint16_t number;
    uint16_t size;
    bool event_idx;
    bool
        interrupts;  // ask for an interrupt at each completion (none is taken: a driver here polls)
    uint16_t next_avail;  // our private copy of avail.index
    uint16_t last_used;   // how far the used ring has been read
    uint16_t published;   // avail.index at the last publish
    uint64_t kicks;       // notifications written
    volatile struct virtq_rings* rings;
};

// Gives queue `number` its rings and enables it; false when the device has no such queue. Used
// between negotiation and DRIVER_OK. `size_limit` bounds the size (a power of two).
bool virtqueue_setup(struct virtqueue* queue, struct virtio_device device, uint16_t number,
                     struct virtq_rings* rings, uint16_t size_limit, uint64_t features);
// Puts a descriptor chain's head in the available ring; the device sees it after
// virtqueue_publish().
void virtqueue_add(struct virtqueue* queue, uint16_t head);
// Publishes what was added, and kicks where the device asks for it.
void virtqueue_publish(struct virtqueue* queue);
// Takes the next used element; false when there is none yet.
bool virtqueue_take(struct virtqueue* queue, struct virtq_used_element* element);
// Notifies the device, wanted or not.
void virtqueue_kick(struct virtqueue* queue);
