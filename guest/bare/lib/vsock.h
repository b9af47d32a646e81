// A vsock device's driver, its receive and its transmit queue (virtio 1.2, 5.10), and the two
// counts by which each side of a connection knows how much it may send.
#pragma once
#include "virtqueue.h"

enum { kVsockHostCid = 2, kVsockStream = 1 };
enum {
    kVsockRequest = 1,
    kVsockResponse = 2,
    kVsockRst = 3,
    kVsockShutdown = 4,
    kVsockRw = 5,
    kVsockCreditUpdate = 6,
    kVsockCreditRequest = 7,
};
enum { kVsockShutdownReceive = 1, kVsockShutdownSend = 2, kVsockShutdownBoth = 3 };

struct vsock_header {
    uint32_t source_cid, source_cid_upper, destination_cid, destination_cid_upper;
    uint32_t source_port, destination_port;
    uint32_t length;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buffer_size, forwarded;
};

enum { kVsockMaxData = 64 * 1024, kVsockBuffers = 32, kVsockSlots = 32, kVsockWindow = 1 << 20 };

struct vsock_device {
    struct virtio_device device;
    struct virtqueue receive, transmit, event;
    uint32_t cid;
    uint32_t busy;  // transmit slots in use, one bit each
};

struct vsock_connection {
    uint32_t host_port, guest_port;
    uint32_t sent, received;               // bytes, ever
    uint32_t host_buffer, host_forwarded;  // as the host said last
    uint32_t told;                         // of `received`, to the host
};

struct vsock_packet {
    struct vsock_header header;
    const uint8_t* data;
    unsigned buffer;
};

// Finds the device and brings it up, with all receive buffers offered. NULL, or the reason why not.
const char* vsock_open(struct vsock_device* vsock, uint64_t wanted);
// Where the data of a packet is put together: kVsockMaxData bytes, free until vsock_send() takes
// it. Waits for a slot that is free.
uint8_t* vsock_slot(struct vsock_device* vsock, unsigned* slot);
// Sends a packet of slot `slot`.
void vsock_send(struct vsock_device* vsock, unsigned slot, struct vsock_connection* connection,
                uint16_t op, uint32_t flags, uint32_t length);
// vsock_slot() and vsock_send() of a packet without data.
void vsock_say(struct vsock_device* vsock, struct vsock_connection* connection, uint16_t op,
               uint32_t flags);
// Takes the next packet; false when there is none. Its buffer goes back by vsock_give_back().
bool vsock_take(struct vsock_device* vsock, struct vsock_packet* packet);
void vsock_give_back(struct vsock_device* vsock, const struct vsock_packet* packet);
// Notes what a packet says of credit, and its data as received; tells the host when it is time.
void vsock_account(struct vsock_device* vsock, struct vsock_connection* connection,
                   const struct vsock_packet* packet);
// Bytes that may be sent now.
uint32_t vsock_credit(const struct vsock_connection* connection);
