#include "vsock.h"

static struct virtq_rings rings[3];
static struct {
    struct vsock_header header;
    uint8_t data[kVsockMaxData];
} buffers[kVsockBuffers] __attribute__((aligned(4096))), slots[kVsockSlots];

static void add_buffer(struct vsock_device* vsock, unsigned buffer) {
    vsock->receive.rings->desc[buffer] =
        (struct virtq_desc){(uintptr_t)&buffers[buffer], sizeof buffers[buffer], kDescWrite, 0};
    virtqueue_add(&vsock->receive, (uint16_t)buffer);
}

const char* vsock_open(struct vsock_device* vsock, uint64_t wanted) {
    if (!virtio_find(kDeviceIdVsock, 0, &vsock->device)) return "no vsock device";
    if (!virtio_reset(&vsock->device)) return "the vsock device does not reset";
    uint64_t features = virtio_negotiate(&vsock->device, wanted);
    if (!features) return "the vsock device refuses the features";
    struct virtqueue* queues[3] = {&vsock->receive, &vsock->transmit, &vsock->event};
    for (uint16_t i = 0; i < 3; i++)
        if (!virtqueue_setup(queues[i], vsock->device, i, &rings[i], kQueueMax, features))
            return "the vsock device lacks a queue";
    vsock->cid = virtio_read(&vsock->device, kConfig);
    vsock->busy = 0;
    virtio_write(&vsock->device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    for (unsigned i = 0; i < kVsockBuffers; i++)
        add_buffer(vsock, i);
    virtqueue_publish(&vsock->receive);
    return NULL;
}

static void reap(struct vsock_device* vsock) {
    struct virtq_used_element element;
    while (virtqueue_take(&vsock->transmit, &element)) {
        if (element.id % 2 || element.id / 2 >= kVsockSlots) fail("a used element of no packet");
        vsock->busy &= ~(1u << element.id / 2);
    }
}

uint8_t* vsock_slot(struct vsock_device* vsock, unsigned* slot) {
    for (reap(vsock); vsock->busy == 0xffffffff; reap(vsock))
        cpu_relax();
    for (*slot = 0; vsock->busy & 1u << *slot;)
        ++*slot;
    return slots[*slot].data;
}

void vsock_send(struct vsock_device* vsock, unsigned slot, struct vsock_connection* connection,
                uint16_t op, uint32_t flags, uint32_t length) {
    slots[slot].header = (struct vsock_header){
        .source_cid = vsock->cid,
        .destination_cid = kVsockHostCid,
        .source_port = connection->guest_port,
        .destination_port = connection->host_port,
        .length = length,
        .type = kVsockStream,
        .op = op,
        .flags = flags,
        .buffer_size = kVsockWindow,
        .forwarded = connection->received,
    };
    connection->told = connection->received;
    connection->sent += length;
    uint16_t head = (uint16_t)(slot * 2);
    volatile struct virtq_desc* desc = &vsock->transmit.rings->desc[head];
    desc[0] = (struct virtq_desc){(uintptr_t)&slots[slot].header, sizeof slots[slot].header,
                                  length ? kDescNext : 0, (uint16_t)(head + 1)};
    desc[1] = (struct virtq_desc){(uintptr_t)slots[slot].data, length, 0, 0};
    vsock->busy |= 1u << slot;
    virtqueue_add(&vsock->transmit, head);
    virtqueue_publish(&vsock->transmit);
}

void vsock_say(struct vsock_device* vsock, struct vsock_connection* connection, uint16_t op,
               uint32_t flags) {
    unsigned slot;
    vsock_slot(vsock, &slot);
    vsock_send(vsock, slot, connection, op, flags, 0);
}

bool vsock_take(struct vsock_device* vsock, struct vsock_packet* packet) {
    struct virtq_used_element element;
    if (!virtqueue_take(&vsock->receive, &element)) return false;
    if (element.id >= kVsockBuffers) fail("a used element names no buffer of ours");
    packet->buffer = element.id;
    packet->header = buffers[element.id].header;
    packet->data = buffers[element.id].data;
    if (element.length != sizeof packet->header + packet->header.length)
        fail("a packet's length is not what was written");
    return true;
}

void vsock_give_back(struct vsock_device* vsock, const struct vsock_packet* packet) {
    add_buffer(vsock, packet->buffer);
    virtqueue_publish(&vsock->receive);
}

void vsock_account(struct vsock_device* vsock, struct vsock_connection* connection,
                   const struct vsock_packet* packet) {
    connection->host_buffer = packet->header.buffer_size;
    connection->host_forwarded = packet->header.forwarded;
    connection->received += packet->header.length;
    if (connection->received - connection->told >= kVsockWindow / 2 ||
        packet->header.op == kVsockCreditRequest)
        vsock_say(vsock, connection, kVsockCreditUpdate, 0);
}

uint32_t vsock_credit(const struct vsock_connection* connection) {
    return connection->host_buffer - (connection->sent - connection->host_forwarded);
}
