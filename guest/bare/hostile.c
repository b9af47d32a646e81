// A driver that breaks every rule of the ring, one after the other, on the first block device.
// After each case the device must be usable again by a reset, and the monitor must be alive. One
// line per case:
//   case NAME needs-reset=0|1 used=N status=N recovered=0|1 other=0|1
// and last     result cases=N lost=N
// `other`: the second block device, if there is one, works while the first is broken. `status` is
// the request's status byte (238: never written). Which answers are right is for the host's test to
// say.
#include "lib/block.h"

static struct block_device block;
static struct block_device other = {.bank = 1};
static bool has_other;
static uint8_t data[4096] __attribute__((aligned(4096)));
static struct block_header header;
static volatile uint8_t status;
static struct virtq_desc table[8];

#define HOLE 0xc0001000ull   // the register window: an address that is not RAM
#define BEYOND (1ull << 40)  // above all RAM
enum { kPatience = 200 * 1000 * 1000 };

static volatile struct virtq_desc* desc(unsigned i) {
    return &block.queue.rings->desc[i];
}

static void set_desc(unsigned i, const void* at, uint32_t length, uint16_t flags, uint16_t next) {
    *desc(i) = (struct virtq_desc){(uintptr_t)at, length, flags, next};
}

// A correct read of sector 0 in descriptors 0, 1, 2; a case then spoils it.
static void correct_request(void) {
    header = (struct block_header){.type = kBlockIn};
    status = kBlockPending;
    set_desc(0, &header, sizeof header, kDescNext, 1);
    set_desc(1, data, sizeof data, kDescNext | kDescWrite, 2);
    set_desc(2, (const void*)&status, 1, kDescWrite, 0);
    block.queue.rings->avail.ring[0] = 0;
}

static void send(uint16_t index) {
    store_barrier();
    block.queue.rings->avail.index = index;
    full_barrier();
    virtqueue_kick(&block.queue);
}

// --- Cases on the rings -----------------------------------------------------------------------
static void avail_jump(void) {
    send((uint16_t)(block.queue.size + 1));
}
static void avail_backwards(void) {
    send(0xffff);
}
static void head_range(void) {
    block.queue.rings->avail.ring[0] = block.queue.size;
    send(1);
}
static void head_max(void) {
    block.queue.rings->avail.ring[0] = 0xffff;
    send(1);
}
static void next_range(void) {
    desc(0)->next = 0xffff;
    send(1);
}
static void chain_loop(void) {
    desc(1)->next = 0;
    send(1);
}
static void self_loop(void) {
    desc(0)->next = 0;
    send(1);
}
static void address_hole(void) {
    desc(1)->address = HOLE;
    send(1);
}
static void address_beyond(void) {
    desc(1)->address = BEYOND;
    send(1);
}
static void address_wraps(void) {
    desc(1)->address = ~0xffull;
    send(1);
}
static void header_hole(void) {
    desc(0)->address = HOLE;
    send(1);
}
static void status_hole(void) {
    desc(2)->address = HOLE;
    send(1);
}
static void length_huge(void) {
    desc(1)->length = 0xffffffff;
    send(1);
}
static void read_after_write(void) {
    desc(2)->flags = 0;
    send(1);
}
static void same_head_twice(void) {
    block.queue.rings->avail.ring[1] = 0;
    send(2);
}
static void indirect_unoffered(void) {
    if (block.features & VIRTIO_F_INDIRECT_DESC) desc(0)->length = 0;
    desc(0)->flags = kDescIndirect;
    send(1);
}

// --- Cases on indirect tables -----------------------------------------------------------------
static void indirect(uint32_t length, uint16_t flags) {
    for (unsigned i = 0; i < 3; i++)
        table[i] = *desc(i);
    set_desc(0, table, length, flags, 1);
}
static void indirect_ragged(void) {
    indirect(17, kDescIndirect);
    send(1);
}
static void indirect_with_next(void) {
    indirect(48, kDescIndirect | kDescNext);
    send(1);
}
static void indirect_nested(void) {
    indirect(48, kDescIndirect);
    table[1].flags |= kDescIndirect;
    send(1);
}
static void indirect_next_range(void) {
    indirect(48, kDescIndirect);
    table[1].next = 3;
    send(1);
}
static void indirect_loop(void) {
    indirect(48, kDescIndirect);
    table[1].next = 0;
    send(1);
}
static void indirect_hole(void) {
    indirect(48, kDescIndirect);
    desc(0)->address = HOLE;
    send(1);
}
static void indirect_huge(void) {
    indirect(0xfffffff0, kDescIndirect);
    send(1);
}

// --- Cases on block requests ------------------------------------------------------------------
static void header_short(void) {
    desc(0)->length = 8;
    send(1);
}
static void header_only(void) {
    desc(0)->flags = 0;
    send(1);
}
static void status_missing(void) {
    desc(1)->flags = kDescWrite;
    send(1);
}
static void length_ragged(void) {
    desc(1)->length = 513;
    send(1);
}
static void sector_beyond(void) {
    header.sector = block.sectors;
    send(1);
}
static void sector_wraps(void) {
    header.sector = ~0ull;
    send(1);
}
static void sector_overflows(void) {
    header.sector = 1ull << 55;
    send(1);
}
static void type_unknown(void) {
    header.type = 0x99;
    send(1);
}
static void write_as_read(void) {
    header.type = kBlockOut;
    send(1);
}

// --- Cases on the registers -------------------------------------------------------------------
static void notify_absent(void) {
    virtio_write(&block.device, kQueueNotify, 7);
    virtio_write(&block.device, kQueueNotify, 0xffffffff);
    mmio_write8(block.device.base + kQueueNotify, 0);
    send(1);
}
// What is written after DRIVER_OK must not move the queue that runs.
static void frozen_queue(void) {
    virtio_write(&block.device, kQueueSel, 0);
    virtio_write(&block.device, kQueueNum, 1);
    virtio_write(&block.device, kQueueDescLow, (uint32_t)HOLE);
    virtio_write(&block.device, kQueueDriverLow, (uint32_t)HOLE);
    virtio_write(&block.device, kQueueDeviceLow, (uint32_t)HOLE);
    virtio_write(&block.device, kDriverFeatures, 0);
    send(1);
}

// Brings the device up with one register of queue 0 spoilt.
static void start_with(uint32_t reg, uint32_t value) {
    virtio_reset(&block.device);
    virtio_negotiate(&block.device, 0);
    virtio_write(&block.device, kQueueSel, 0);
    virtio_write(&block.device, kQueueNum, block.queue.size);
    virtio_write(&block.device, kQueueDescLow, (uint32_t)(uintptr_t)block.queue.rings->desc);
    virtio_write(&block.device, kQueueDriverLow, (uint32_t)(uintptr_t)&block.queue.rings->avail);
    virtio_write(&block.device, kQueueDeviceLow, (uint32_t)(uintptr_t)&block.queue.rings->used);
    virtio_write(&block.device, reg, value);
    virtio_write(&block.device, kQueueReady, 1);
    virtio_write(&block.device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    send(1);
}
static void size_zero(void) {
    start_with(kQueueNum, 0);
}
static void size_three(void) {
    start_with(kQueueNum, 3);
}
static void size_too_large(void) {
    start_with(kQueueNum, 0x8000);
}
static void size_huge(void) {
    start_with(kQueueNum, 0x10001);
}
static void desc_in_hole(void) {
    start_with(kQueueDescLow, (uint32_t)HOLE);
}
static void desc_beyond(void) {
    start_with(kQueueDescLow + 4, 0x100);
}
static void desc_unaligned(void) {
    start_with(kQueueDescLow, (uint32_t)(uintptr_t)block.queue.rings->desc + 1);
}
static void driver_in_hole(void) {
    start_with(kQueueDriverLow, (uint32_t)HOLE);
}
static void device_in_hole(void) {
    start_with(kQueueDeviceLow, (uint32_t)HOLE);
}
static void device_wraps(void) {
    start_with(kQueueDeviceLow + 4, 0xffffffff);
}
static void live_without_features_ok(void) {
    virtio_reset(&block.device);
    virtio_write(&block.device, kStatus, kAcknowledge | kDriver | kDriverOk);
    send(1);
}
static void status_all_ones(void) {
    virtio_reset(&block.device);
    virtio_write(&block.device, kStatus, 0xffffffff);
    send(1);
}

#define CASE(name) {#name, name}
static const struct {
    const char* name;
    void (*run)(void);
} cases[] = {
    CASE(avail_jump),         CASE(avail_backwards),     CASE(head_range),
    CASE(head_max),           CASE(next_range),          CASE(chain_loop),
    CASE(self_loop),          CASE(address_hole),        CASE(address_beyond),
    CASE(address_wraps),      CASE(header_hole),         CASE(status_hole),
    CASE(length_huge),        CASE(read_after_write),    CASE(same_head_twice),
    CASE(indirect_unoffered), CASE(indirect_ragged),     CASE(indirect_with_next),
    CASE(indirect_nested),    CASE(indirect_next_range), CASE(indirect_loop),
    CASE(indirect_hole),      CASE(indirect_huge),       CASE(header_short),
    CASE(header_only),        CASE(status_missing),      CASE(length_ragged),
    CASE(sector_beyond),      CASE(sector_wraps),        CASE(sector_overflows),
    CASE(type_unknown),       CASE(write_as_read),       CASE(notify_absent),
    CASE(frozen_queue),       CASE(size_zero),           CASE(size_three),
    CASE(size_too_large),     CASE(size_huge),           CASE(desc_in_hole),
    CASE(desc_beyond),        CASE(desc_unaligned),      CASE(driver_in_hole),
    CASE(device_in_hole),     CASE(device_wraps),        CASE(live_without_features_ok),
    CASE(status_all_ones),
};

// Waits until the device reacts: a used element or a wish to be reset.
static void wait_for_reaction(void) {
    for (uint64_t start = read_tsc(); read_tsc() - start < kPatience;) {
        if (block.queue.rings->used.index != 0) return;
        if (virtio_read(&block.device, kStatus) & kNeedsReset) return;
        spin_cycles(20000);
    }
}

// A correct request on the device after a reset: is it whole again?
static bool recovered(void) {
    uint64_t wanted = VIRTIO_F_EVENT_IDX;
    return !block_start(&block, wanted) &&
           block_request(&block, kBlockIn, 0, data, sizeof data) == kBlockOk;
}

static bool run_case(unsigned i) {
    const char* problem = block_start(&block, VIRTIO_F_INDIRECT_DESC);
    if (problem) fail(problem);
    correct_request();
    cases[i].run();
    wait_for_reaction();
    bool needs_reset = virtio_read(&block.device, kStatus) & kNeedsReset;
    uint16_t used = block.queue.rings->used.index;
    uint8_t answer = status;
    static uint8_t sector[512];
    bool other_works =
        has_other && block_request(&other, kBlockIn, 0, sector, sizeof sector) == kBlockOk;
    bool whole = recovered();
    put_text("case ");
    put_text(cases[i].name);
    put_pair("needs-reset", needs_reset);
    put_pair("used", used);
    put_pair("status", answer);
    put_pair("recovered", whole);
    put_pair("other", other_works);
    put_char('\n');
    return whole;
}

void bare_main(void) {
    const char* problem = block_open(&block, 0, 0);
    if (problem) fail(problem);
    has_other = !block_open(&other, 1, VIRTIO_F_EVENT_IDX);
    unsigned count = sizeof cases / sizeof *cases, lost = 0;
    unsigned only = (unsigned)cmdline_number("bare.case", count);
    for (uint64_t repeats = cmdline_number("bare.repeat", 1); repeats > 0; repeats--)
        for (unsigned i = 0; i < count; i++)
            if ((only == count || only == i) && !run_case(i)) lost++;
    put_text("result");
    put_pair("cases", count);
    put_pair("lost", lost);
    put_char('\n');
}
