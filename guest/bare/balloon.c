// A balloon's driver: fills memory, gives it back, takes it again. Words of the command line:
//   bare.mode=inflate|report   page by page into the balloon, or as free blocks of 2 MiB
//   bare.start=BYTES bare.span=BYTES   the memory used (multiples of 2M)
// After each of the lines `full`, `given` and `again` it waits for a byte on COM1. Last line:
//   result nonzero=N requests=N actual=N
// nonzero: pages that were given back and did not read as zero.
#include "lib/virtqueue.h"

enum { kPage = 4096, kBlock = 2 << 20, kPagesPerRequest = 256, kBlocksPerReport = 16 };
enum { kInflate = 0, kDeflate = 1, kReport = 2, kQueues = 3 };

#define VIRTIO_BALLOON_F_REPORTING (1ull << 5)

static struct virtio_device device;
static struct virtq_rings rings[kQueues];
static struct virtqueue queues[kQueues];
static uint32_t numbers[kPagesPerRequest];
static uint64_t requests;

static void open_balloon(void) {
    if (!virtio_find(kDeviceIdBalloon, 0, &device)) fail("no balloon");
    if (!virtio_reset(&device)) fail("the balloon does not reset");
    uint64_t features = virtio_negotiate(&device, VIRTIO_F_EVENT_IDX | VIRTIO_BALLOON_F_REPORTING);
    if (!(features & VIRTIO_BALLOON_F_REPORTING)) fail("no free page reporting");
    for (uint16_t i = 0; i < kQueues; i++)
        if (!virtqueue_setup(&queues[i], device, i, &rings[i], kQueueMax, features))
            fail("the balloon lacks a queue");
    virtio_write(&device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
}

static void send(struct virtqueue* queue) {
    struct virtq_used_element used;
    virtqueue_add(queue, 0);
    virtqueue_publish(queue);
    while (!virtqueue_take(queue, &used))
        cpu_relax();
    requests++;
}

static void send_pages(struct virtqueue* queue, uint64_t start, uint64_t span) {
    for (uint64_t done = 0; done < span;) {
        unsigned count = 0;
        for (; count < kPagesPerRequest && done < span; done += kPage)
            numbers[count++] = (uint32_t)((start + done) / kPage);
        queue->rings->desc[0] =
            (struct virtq_desc){(uintptr_t)numbers, count * (uint32_t)sizeof numbers[0], 0, 0};
        send(queue);
    }
}

static void report(uint64_t start, uint64_t span) {
    struct virtqueue* queue = &queues[kReport];
    for (uint64_t done = 0; done < span;) {
        uint16_t count = 0;
        for (; count < kBlocksPerReport && done < span; done += kBlock, count++)
            queue->rings->desc[count] = (struct virtq_desc){
                start + done, kBlock, kDescWrite | kDescNext, (uint16_t)(count + 1)};
        queue->rings->desc[count - 1].flags = kDescWrite;
        send(queue);
    }
}

static void fill(uint64_t start, uint64_t span) {
    memset((void*)start, 0xa5, span);
}

static void pause_at(const char* name) {
    put_text(name);
    while (get_char() < 0)
        cpu_relax();
}

void bare_main(void) {
    uint64_t start = cmdline_number("bare.start", 16 << 20);
    uint64_t span = cmdline_number("bare.span", 32 << 20);
    bool inflate = cmdline_is("bare.mode", "inflate");
    open_balloon();
    fill(start, span);
    pause_at("full\n");
    if (inflate)
        send_pages(&queues[kInflate], start, span);
    else
        report(start, span);
    virtio_write(&device, kConfig + 4, inflate ? (uint32_t)(span / kPage) : 0);
    pause_at("given\n");
    if (inflate) send_pages(&queues[kDeflate], start, span);
    uint64_t nonzero = 0;
    for (uint64_t at = start; at < start + span; at += kPage)
        nonzero += *(volatile uint64_t*)at != 0;
    fill(start, span);
    pause_at("again\n");
    put_text("result");
    put_pair("nonzero", nonzero);
    put_pair("requests", requests);
    put_pair("actual", virtio_read(&device, kConfig + 4));
    put_char('\n');
}
