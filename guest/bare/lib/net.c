#include "net.h"

static struct virtq_rings receive_rings, transmit_rings;
static uint8_t buffers[kNetSlots][kNetBuffer] __attribute__((aligned(4096)));
static uint8_t merged[kNetMaxFrame + kNetBuffer];
static struct net_header headers[kNetSlots / 2];
static unsigned held[kNetSlots], held_count;  // buffers of the frame that was taken last

const char* net_start(struct net_device* net, uint64_t wanted) {
    if (!virtio_reset(&net->device)) return "the network device does not reset";
    net->features = virtio_negotiate(&net->device, wanted);
    if (!net->features) return "the network device refuses the features";
    if (!virtqueue_setup(&net->receive, net->device, kNetReceive, &receive_rings, kNetSlots,
                         net->features) ||
        !virtqueue_setup(&net->transmit, net->device, kNetTransmit, &transmit_rings, kNetSlots,
                         net->features))
        return "the network device lacks a queue";
    for (unsigned i = 0; i < kNetMacBytes; i++)
        net->mac[i] = mmio_read8(net->device.base + kConfig + i);
    net->mtu = mmio_read16(net->device.base + kConfig + 10);
    held_count = 0;
    virtio_write(&net->device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    return NULL;
}

const char* net_open(struct net_device* net, unsigned n, uint64_t wanted) {
    if (!virtio_find(kDeviceIdNet, n, &net->device)) return "no such network device";
    return net_start(net, wanted);
}

void net_add_buffer(struct net_device* net, unsigned slot) {
    net->receive.rings->desc[slot] =
        (struct virtq_desc){(uintptr_t)buffers[slot], kNetBuffer, kDescWrite, 0};
    virtqueue_add(&net->receive, (uint16_t)slot);
}

void net_publish_buffers(struct net_device* net) {
    virtqueue_publish(&net->receive);
}

static unsigned take_buffer(struct net_device* net, uint32_t* length) {
    struct virtq_used_element element;
    if (!virtqueue_take(&net->receive, &element)) return kNetSlots;
    if (element.id >= kNetSlots || element.length > kNetBuffer)
        fail("a used element names no buffer of ours");
    *length = element.length;
    held[held_count++] = element.id;
    return element.id;
}

uint32_t net_take(struct net_device* net, const uint8_t** frame) {
    if (held_count) {
        for (unsigned i = 0; i < held_count; i++)
            net_add_buffer(net, held[i]);
        held_count = 0;
        net_publish_buffers(net);
    }
    uint32_t length = 0;
    unsigned slot = take_buffer(net, &length);
    if (slot == kNetSlots) return 0;
    const struct net_header* header = (const void*)buffers[slot];
    if (length <= sizeof *header) fail("a frame without a header");
    *frame = buffers[slot] + sizeof *header;
    uint32_t bytes = length - (uint32_t)sizeof *header;
    unsigned count = header->num_buffers;
    if (count == 0) fail("a frame of no buffers");
    if (count == 1) return bytes;
    memcpy(merged, *frame, bytes);
    *frame = merged;
    while (--count) {
        while ((slot = take_buffer(net, &length)) == kNetSlots)
            cpu_relax();
        if (bytes + length > sizeof merged) fail("a frame that is too long");
        memcpy(merged + bytes, buffers[slot], length);
        bytes += length;
    }
    return bytes;
}

void net_send(struct net_device* net, unsigned slot, const struct net_header* header,
              const void* frame, uint32_t bytes) {
    headers[slot] = *header;
    uint16_t head = (uint16_t)(slot * 2);
    volatile struct virtq_desc* desc = &net->transmit.rings->desc[head];
    desc[0] = (struct virtq_desc){(uintptr_t)&headers[slot], sizeof headers[slot], kDescNext,
                                  (uint16_t)(head + 1)};
    desc[1] = (struct virtq_desc){(uintptr_t)frame, bytes, 0, 0};
    virtqueue_add(&net->transmit, head);
}

int net_reap(struct net_device* net) {
    struct virtq_used_element element;
    if (!virtqueue_take(&net->transmit, &element)) return -1;
    if (element.id >= net->transmit.size || element.id % 2) fail("a used element of no frame");
    return (int)(element.id / 2);
}
