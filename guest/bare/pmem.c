// A pmem's driver (virtio 1.2, 5.19). Words of the command line:
//   bare.mode=  verify | fill | wait | dma
//   bare.span=BYTES (of the file)  bare.seed=N (of the data pattern)  bare.flushes=N
// verify expects, and fill writes and then flushes, the pattern of guest/bare/block.c; wait says
// `ready`, waits for a byte on COM1, and then verifies; dma has a pmem request answered into the
// pmem itself, which no device may reach. Last line:
//   result start=N size=N mismatches=N padding=N failed=N needs-reset=0|1
// padding: bytes behind the file that are not zero. failed: flushes with another answer than 0.
#include "lib/virtqueue.h"

enum { kFlush = 0 };

static struct virtio_device device;
static struct virtq_rings rings;
static struct virtqueue queue;
static uint32_t request, answer;

static uint64_t config64(uint32_t offset) {
    return virtio_read(&device, kConfig + offset) |
           (uint64_t)virtio_read(&device, kConfig + offset + 4) << 32;
}

static void open_pmem(void) {
    if (!virtio_find(kDeviceIdPmem, 0, &device)) fail("no pmem");
    if (!virtio_reset(&device)) fail("the pmem does not reset");
    uint64_t features = virtio_negotiate(&device, VIRTIO_F_EVENT_IDX);
    if (!virtqueue_setup(&queue, device, 0, &rings, kQueueMax, features)) fail("no queue");
    virtio_write(&device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
}

// False where the device needs a reset.
static bool flush(uint64_t into) {
    struct virtq_used_element used;
    request = kFlush;
    answer = ~0u;
    rings.desc[0] = (struct virtq_desc){(uintptr_t)&request, sizeof request, kDescNext, 1};
    rings.desc[1] = (struct virtq_desc){into, sizeof answer, kDescWrite, 0};
    virtqueue_add(&queue, 0);
    virtqueue_publish(&queue);
    while (!virtqueue_take(&queue, &used)) {
        if (virtio_read(&device, kStatus) & kNeedsReset) return false;
        cpu_relax();
    }
    return true;
}

static uint64_t pattern(uint64_t word, uint64_t seed) {
    return (word + 1) * 0x9e3779b97f4a7c15ull + seed;
}

void bare_main(void) {
    uint64_t span = cmdline_number("bare.span", 0);
    uint64_t seed = cmdline_number("bare.seed", 0);
    uint64_t flushes = cmdline_number("bare.flushes", 1);
    bool fill = cmdline_is("bare.mode", "fill");
    bool dma = cmdline_is("bare.mode", "dma");
    open_pmem();
    uint64_t start = config64(0), size = config64(8);
    map_memory(start, size);
    if (cmdline_is("bare.mode", "wait")) {
        put_text("ready\n");
        while (get_char() < 0)
            cpu_relax();
    }
    volatile uint64_t* words = (volatile uint64_t*)start;
    uint64_t mismatches = 0, padding = 0, failed = 0;
    for (uint64_t i = 0; i < span / 8; i++) {
        if (fill) words[i] = pattern(i, seed);
        mismatches += words[i] != pattern(i, seed);
    }
    for (uint64_t i = (span + 4095) / 4096 * 4096; i < size; i += 8)
        padding += words[i / 8] != 0;
    for (uint64_t i = 0; i < flushes; i++) {
        if (!flush(dma ? start : (uintptr_t)&answer)) break;
        failed += answer != 0;
    }
    put_text("result");
    put_pair("start", start);
    put_pair("size", size);
    put_pair("mismatches", mismatches);
    put_pair("padding", padding);
    put_pair("failed", failed);
    put_pair("needs-reset", (virtio_read(&device, kStatus) & kNeedsReset) != 0);
    put_char('\n');
}
