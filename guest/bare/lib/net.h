// A network device's driver, one receive and one transmit queue (virtio 1.3, 5.1). Each frame lies
// behind its header in one buffer; receive buffers are merged where a frame needs several.
#pragma once
#include "virtqueue.h"

#define VIRTIO_NET_F_CSUM (1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_MTU (1ull << 3)
#define VIRTIO_NET_F_MAC (1ull << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (1ull << 7)
#define VIRTIO_NET_F_HOST_TSO4 (1ull << 11)
#define VIRTIO_NET_F_MRG_RXBUF (1ull << 15)

enum { kNetReceive = 0, kNetTransmit = 1, kNetMacBytes = 6 };

struct net_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};

// One buffer's place in the queue: chain slots are numbered like its descriptors.
enum { kNetSlots = kQueueMax, kNetBuffer = 2048, kNetMaxFrame = 65562 };

struct net_device {
    struct virtio_device device;
    struct virtqueue receive, transmit;
    uint64_t features;
    uint8_t mac[kNetMacBytes];
    uint16_t mtu;
};

// Finds the n-th network device and brings it up with what `wanted` names and the device offers; no
// receive buffer is there yet. Returns NULL, or the reason why not.
const char* net_open(struct net_device* net, unsigned n, uint64_t wanted);
// Brings it up (again) from reset.
const char* net_start(struct net_device* net, uint64_t wanted);
// Adds receive buffer `slot`; the device sees it after net_publish_buffers().
void net_add_buffer(struct net_device* net, unsigned slot);
void net_publish_buffers(struct net_device* net);
// Takes the next frame, merged, without its header: its bytes, in `*frame`; 0 when there is none.
// Its buffers are added again (and published) by the next call.
uint32_t net_take(struct net_device* net, const uint8_t** frame);
// Adds a frame to send: `bytes` at `frame`, which stays as it is until net_reap() names `slot`.
void net_send(struct net_device* net, unsigned slot, const struct net_header* header,
              const void* frame, uint32_t bytes);
// Takes a frame that was sent: its slot, or -1.
int net_reap(struct net_device* net);
