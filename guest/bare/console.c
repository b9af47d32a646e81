// A virtio console's driver (virtio 1.2, 5.3). Words of the command line:
//   bare.mode=  echo | flood    bare.bytes=N (of a flood)
// echo says `ready` on the console, and then sends back what it receives, up to and with a `q`.
// flood sends the lines `0000000`, `0000001`, ... of 8 bytes each. Prints on COM1, as its last
// line:
//   result columns=N rows=N received=N sent=N kicks=N needs-reset=0|1
#include "lib/virtqueue.h"

enum { kReceive = 0, kTransmit = 1, kBuffers = 8, kBuffer = 512, kChunk = 4096 };

static struct virtio_device device;
static struct virtq_rings receive_rings, transmit_rings;
static struct virtqueue receive, transmit;
static uint8_t typed[kBuffers][kBuffer];
static uint8_t chunk[kChunk];
static uint64_t received, sent;

static void open_console(void) {
    if (!virtio_find(kDeviceIdConsole, 0, &device)) fail("no console");
    if (!virtio_reset(&device)) fail("the console does not reset");
    uint64_t features = virtio_negotiate(&device, VIRTIO_F_EVENT_IDX | VIRTIO_CONSOLE_F_SIZE);
    if (!virtqueue_setup(&receive, device, kReceive, &receive_rings, kBuffers, features) ||
        !virtqueue_setup(&transmit, device, kTransmit, &transmit_rings, kQueueMax, features))
        fail("the console lacks a queue");
    virtio_write(&device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
}

static void add_buffer(unsigned slot) {
    receive.rings->desc[slot] = (struct virtq_desc){(uintptr_t)typed[slot], kBuffer, kDescWrite, 0};
    virtqueue_add(&receive, (uint16_t)slot);
}

static void print(const void* bytes, uint32_t size) {
    struct virtq_used_element used;
    transmit.rings->desc[0] = (struct virtq_desc){(uintptr_t)bytes, size, 0, 0};
    virtqueue_add(&transmit, 0);
    virtqueue_publish(&transmit);
    while (!virtqueue_take(&transmit, &used))
        cpu_relax();
    sent += size;
}

// True at the `q`.
static bool echo_buffer(const struct virtq_used_element* used) {
    if (used->id >= kBuffers || used->length > kBuffer) fail("a used element of no buffer of ours");
    print(typed[used->id], used->length);
    received += used->length;
    for (unsigned i = 0; i < used->length; i++)
        if (typed[used->id][i] == 'q') return true;
    add_buffer(used->id);
    virtqueue_publish(&receive);
    return false;
}

static void echo(void) {
    static const char ready[] = "ready\n";
    for (unsigned slot = 0; slot < kBuffers; slot++)
        add_buffer(slot);
    virtqueue_publish(&receive);
    print(ready, sizeof ready - 1);
    for (struct virtq_used_element used;;) {
        if (!virtqueue_take(&receive, &used))
            cpu_relax();
        else if (echo_buffer(&used))
            return;
    }
}

static void flood(void) {
    uint64_t lines = cmdline_number("bare.bytes", 64 * 1024) / 8;
    uint32_t filled = 0;
    for (uint64_t line = 0; line < lines; line++) {
        uint64_t value = line;
        chunk[filled + 7] = '\n';
        for (int i = 6; i >= 0; i--, value /= 10)
            chunk[filled + (unsigned)i] = (uint8_t)('0' + value % 10);
        filled += 8;
        if (filled < kChunk && line + 1 < lines) continue;
        print(chunk, filled);
        filled = 0;
    }
}

void bare_main(void) {
    open_console();
    uint32_t size = virtio_read(&device, kConfig);
    if (cmdline_is("bare.mode", "flood"))
        flood();
    else
        echo();
    put_text("result");
    put_pair("columns", size & 0xffff);
    put_pair("rows", size >> 16);
    put_pair("received", received);
    put_pair("sent", sent);
    put_pair("kicks", transmit.kicks);
    put_pair("needs-reset", (virtio_read(&device, kStatus) & kNeedsReset) != 0);
    put_char('\n');
}
