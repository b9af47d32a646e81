// A driver of memory that comes and goes (virtio 1.2, 5.15). Words of the command line:
//   bare.mode=  plug | wait | unplug | dma | hostile
//   bare.blocks=N (to be plugged)
// plug plugs so many blocks one after the other, fills them with a pattern and verifies that; wait
// does the same, says `ready` and waits for a byte on COM1; unplug goes on by unplugging all, after
// which it says `unplugged`, waits for another byte and reads what is not there any more; dma has a
// request answered into a plugged block and then into one that is not; hostile asks for what it
// must not get. Last line:
//   result addr=N region=N requested=N plugged=N mismatches=N refused=N reached=N needs-reset=0|1
// refused: requests with another answer than ACK. reached: words of unplugged memory that did not
// read as ones.
#include "lib/virtqueue.h"

#define UNPLUGGED_INACCESSIBLE (1ull << 1)
enum { kPlug, kUnplug, kUnplugAll, kState };
enum { kBlockSize = 0, kAddr = 16, kRegionSize = 24, kPluggedSize = 40, kRequestedSize = 48 };

struct request {
    uint16_t type, padding[3];
    uint64_t address;
    uint16_t blocks, padding2[3];
};
struct response {
    uint16_t type, padding[3], state;
};

static struct virtio_device device;
static struct virtq_rings rings;
static struct virtqueue queue;
static struct response answer;
static uint64_t block, base, region, refused, mismatches, reached;

static uint64_t config64(uint32_t offset) {
    return virtio_read(&device, kConfig + offset) |
           (uint64_t)virtio_read(&device, kConfig + offset + 4) << 32;
}

static void open_memory(void) {
    if (!virtio_find(kDeviceIdMemory, 0, &device)) fail("no memory device");
    if (!virtio_reset(&device)) fail("the memory device does not reset");
    uint64_t features = virtio_negotiate(&device, VIRTIO_F_EVENT_IDX | UNPLUGGED_INACCESSIBLE);
    if (!(features & UNPLUGGED_INACCESSIBLE)) fail("a feature is missing");
    if (!virtqueue_setup(&queue, device, 0, &rings, kQueueMax, features)) fail("no queue");
    virtio_write(&device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    block = config64(kBlockSize);
    base = config64(kAddr);
    region = config64(kRegionSize);
}

static bool needs_reset(void) {
    return (virtio_read(&device, kStatus) & kNeedsReset) != 0;
}

// Its answer goes to `into`. False where the device needs a reset.
static bool ask_into(uint64_t into, uint16_t type, uint64_t address, uint16_t blocks) {
    static struct request request;
    struct virtq_used_element used;
    request = (struct request){.type = type, .address = address, .blocks = blocks};
    rings.desc[0] = (struct virtq_desc){(uintptr_t)&request, sizeof request, kDescNext, 1};
    rings.desc[1] = (struct virtq_desc){into, sizeof answer, kDescWrite, 0};
    virtqueue_add(&queue, 0);
    virtqueue_publish(&queue);
    while (!virtqueue_take(&queue, &used)) {
        if (needs_reset()) return false;
        cpu_relax();
    }
    return true;
}

static void ask(uint16_t type, uint64_t address, uint16_t blocks) {
    answer.type = 0xffff;
    if (ask_into((uintptr_t)&answer, type, address, blocks)) refused += answer.type != 0;
}

static void wait_for_byte(const char* text) {
    put_text(text);
    while (get_char() < 0)
        cpu_relax();
}

static uint64_t pattern(uint64_t word) {
    return (word + 1) * 0x9e3779b97f4a7c15ull;
}

static void fill_and_verify(uint64_t blocks) {
    volatile uint64_t* words = (volatile uint64_t*)base;
    for (uint64_t i = 0; i < blocks * block / 8; i++)
        words[i] = pattern(i);
    for (uint64_t i = 0; i < blocks * block / 8; i++)
        mismatches += words[i] != pattern(i);
}

// Reads and writes one word a block: each costs an exit.
static void touch_what_is_gone(uint64_t blocks) {
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t address = base + i * block + 8;
        reached += mmio_read64(address) != ~0ull;
        mmio_write32(address, 1);
        reached += mmio_read64(address) != ~0ull;
    }
}

static void be_hostile(void) {
    ask(kPlug, base - block, 1);
    ask(kPlug, base + block / 2, 1);
    ask(kPlug, base, 0);
    ask(kPlug, base, 0xffff);
    ask(kPlug, base + region, 1);
    ask(kPlug, ~0ull - block + 1, 2);
    ask(kUnplug, base, 1);
    ask(kState, 0, 1);
    ask(9, base, 1);
    // Nothing was plugged so far, and none of it is there.
    touch_what_is_gone(region / block < 16 ? region / block : 16);
}

void bare_main(void) {
    uint64_t blocks = cmdline_number("bare.blocks", 1);
    open_memory();
    map_memory(base, region);
    if (cmdline_is("bare.mode", "hostile")) {
        be_hostile();
    } else {
        for (uint64_t i = 0; i < blocks; i++)
            ask(kPlug, base + i * block, 1);
        fill_and_verify(blocks);
    }
    if (cmdline_is("bare.mode", "wait") || cmdline_is("bare.mode", "unplug"))
        wait_for_byte("ready\n");
    if (cmdline_is("bare.mode", "unplug")) {
        ask(kUnplugAll, 0, 0);
        wait_for_byte("unplugged\n");
        touch_what_is_gone(blocks);
    }
    if (cmdline_is("bare.mode", "dma")) {
        if (!ask_into(base + blocks * block - sizeof answer, kState, base, 1)) fail("no answer");
        ask_into(base + blocks * block, kState, base, 1);
    }
    put_text("result");
    put_pair("addr", base);
    put_pair("region", region);
    put_pair("requested", config64(kRequestedSize));
    put_pair("plugged", config64(kPluggedSize));
    put_pair("mismatches", mismatches);
    put_pair("refused", refused);
    put_pair("reached", reached);
    put_pair("needs-reset", needs_reset());
    put_char('\n');
}
