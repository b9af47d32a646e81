// Block requests against one disk: measures, and checks data. Words of the command line:
//   bare.mode=   read | write | flush | verify | fill | journal | zeroes | discard | id | info
//   bare.disk=N  bare.bs=BYTES  bare.depth=N  bare.ops=N  bare.warmup=N  bare.order=seq|rand
//   bare.start=SECTOR  bare.span=BYTES (the part of the disk used)  bare.seed=N (of the data
//   pattern) bare.event_idx=0|1  bare.indirect=0|1  bare.flush=0|1 (the feature)  bare.irq=0|1
//   bare.linger=CYCLES (spin before the end)
//   bare.restarts=N (first, N times: a reset with a read in flight, a new start, a read)
//   bare.hold=CYCLES (spin before either)
// Prints `begin`, then one line `result key=value ...`; times are in cycles of the time stamp
// counter.
//
// fill writes, and verify expects, the 64-bit word (OFFSET / 8 + 1) * 0x9e3779b97f4a7c15 + seed at
// each byte offset of the disk that is a multiple of 8; tests know the same formula. journal fills
// bare.ops blocks one by one, each with a flush, and says `flushed block=N` when that one is done.
#include "lib/block.h"

enum { kMaxBlock = 64 * 1024, kHistogram = 1 << 14, kCyclesPerBucket = 64, kBufferBytes = 4 << 20 };

struct job {
    uint32_t type;
    uint32_t bs;
    unsigned depth;
    uint64_t ops;
    uint64_t start;
    uint64_t blocks;
    uint64_t seed;
    bool random;
    bool check;
    bool generate;
};

struct outcome {
    uint64_t cycles, errors, mismatches, longest;
};

static struct block_device block;
static uint8_t buffers[kBufferBytes] __attribute__((aligned(4096)));
static uint64_t started[kSlots], sector_of[kSlots];
static uint32_t histogram[kHistogram];

static uint64_t pattern(uint64_t sector, uint32_t word, uint64_t seed) {
    return (sector * (kSectorSize / 8) + word + 1) * 0x9e3779b97f4a7c15ull + seed;
}

static void generate(uint64_t* words, uint64_t sector, uint32_t bytes, uint64_t seed) {
    for (uint32_t i = 0; i < bytes / 8; i++)
        words[i] = pattern(sector, i, seed);
}

static uint64_t count_mismatches(const uint64_t* words, uint64_t sector, uint32_t bytes,
                                 uint64_t seed) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < bytes / 8; i++)
        count += words[i] != pattern(sector, i, seed);
    return count;
}

static uint64_t next_random(void) {
    static uint64_t state = 0x2545f4914f6cdd1d;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void* buffer_of(const struct job* job, unsigned slot) {
    return buffers + (size_t)slot * job->bs;
}

static void submit(const struct job* job, unsigned slot, uint64_t op) {
    uint64_t index = job->random ? next_random() % job->blocks : op % job->blocks;
    sector_of[slot] = job->start + index * (job->bs / kSectorSize);
    void* data = buffer_of(job, slot);
    if (job->generate) generate(data, sector_of[slot], job->bs, job->seed);
    started[slot] = read_tsc();
    if (job->type == kBlockFlush)
        block_add(&block, slot, job->type, 0, NULL, 0);
    else
        block_add(&block, slot, job->type, sector_of[slot], data, job->bs);
}

static void reap(const struct job* job, unsigned slot, uint8_t status, struct outcome* out) {
    uint64_t took = read_tsc() - started[slot];
    uint64_t bucket = took / kCyclesPerBucket;
    histogram[bucket < kHistogram ? bucket : kHistogram - 1]++;
    if (took > out->longest) out->longest = took;
    if (status != kBlockOk)
        out->errors++;
    else if (job->check)
        out->mismatches +=
            count_mismatches(buffer_of(job, slot), sector_of[slot], job->bs, job->seed);
}

// Keeps `depth` requests in flight until `ops` are done: what completes together is refilled
// together, with one publish.
static struct outcome run(const struct job* job, uint64_t ops) {
    struct outcome out = {0};
    uint64_t sent = 0, done = 0, begin = read_tsc();
    for (unsigned slot = 0; slot < job->depth && sent < ops; slot++)
        submit(job, slot, sent++);
    virtqueue_publish(&block.queue);
    while (done < ops) {
        uint8_t status;
        int slot;
        bool added = false;
        while ((slot = block_take(&block, &status)) >= 0) {
            done++;
            reap(job, (unsigned)slot, status, &out);
            if (sent < ops) submit(job, (unsigned)slot, sent++), added = true;
        }
        if (added)
            virtqueue_publish(&block.queue);
        else
            cpu_relax();
    }
    out.cycles = read_tsc() - begin;
    return out;
}

static uint64_t percentile(uint64_t ops, unsigned percent) {
    uint64_t seen = 0;
    for (unsigned i = 0; i < kHistogram; i++)
        if ((seen += histogram[i]) * 100 >= ops * percent) return (uint64_t)i * kCyclesPerBucket;
    return (uint64_t)kHistogram * kCyclesPerBucket;
}

static void print_result(const struct job* job, const struct outcome* out, uint64_t kicks) {
    put_text("result mode=");
    put_word(cmdline_find("bare.mode"));
    put_pair("bs", job->bs);
    put_pair("depth", job->depth);
    put_pair("ops", job->ops);
    put_pair("cycles", out->cycles);
    put_pair("p50", percentile(job->ops, 50));
    put_pair("p99", percentile(job->ops, 99));
    put_pair("longest", out->longest);
    put_pair("kicks", kicks);
    put_pair("errors", out->errors);
    put_pair("mismatches", out->mismatches);
    put_char('\n');
}

static void print_info(void) {
    put_text("result mode=info");
    put_pair("sectors", block.sectors);
    put_pair("queue", block.queue.size);
    put_pair("features", block.features);
    put_pair("offered", virtio_offered(&block.device));
    put_char('\n');
}

static void print_id(void) {
    char id[kBlockIdSize + 1] = {0};
    uint8_t status = block_request(&block, kBlockGetId, 0, id, kBlockIdSize);
    put_text("result mode=id");
    put_pair("status", status);
    put_text(" id=");
    put_text(id);
    put_char('\n');
}

// Discard and write-zeroes: one range, from bare.start, bare.span bytes long.
static void print_range(uint32_t type) {
    static struct block_range range;
    range.sector = cmdline_number("bare.start", 0);
    range.sectors = (uint32_t)(cmdline_number("bare.span", 4096) / kSectorSize);
    range.flags = (uint32_t)cmdline_number("bare.unmap", 0);
    uint8_t status = block_request(&block, type, 0, &range, sizeof range);
    put_text("result mode=");
    put_word(cmdline_find("bare.mode"));
    put_pair("status", status);
    put_char('\n');
}

static void journal(void) {
    // Where the device offers no flush, a completed write is a safe one.
    bool flushes = (block.features & VIRTIO_BLK_F_FLUSH) != 0;
    uint64_t* words = (uint64_t*)buffers;
    uint64_t blocks = cmdline_number("bare.ops", 10000), seed = cmdline_number("bare.seed", 0);
    enum { kBlock = 4096 };
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t sector = i * (kBlock / kSectorSize);
        generate(words, sector, kBlock, seed);
        if (block_request(&block, kBlockOut, sector, words, kBlock) != kBlockOk ||
            (flushes && block_request(&block, kBlockFlush, 0, NULL, 0) != kBlockOk))
            fail("a write or flush failed");
        put_text("flushed");
        put_pair("block", i);
        put_char('\n');
    }
}

static struct job read_job(void) {
    struct job job = {
        .type = kBlockIn,
        .bs = (uint32_t)cmdline_number("bare.bs", 4096),
        .depth = (unsigned)cmdline_number("bare.depth", 1),
        .ops = cmdline_number("bare.ops", 10000),
        .start = cmdline_number("bare.start", 0),
        .seed = cmdline_number("bare.seed", 0),
        .random = cmdline_is("bare.order", "rand"),
        .check = cmdline_is("bare.mode", "verify"),
        .generate = cmdline_is("bare.mode", "fill"),
    };
    if (cmdline_is("bare.mode", "write") || job.generate)
        job.type = kBlockOut;
    else if (cmdline_is("bare.mode", "flush"))
        job.type = kBlockFlush;
    else if (!cmdline_is("bare.mode", "read") && !job.check)
        fail("bare.mode names no mode of this program");
    if (job.bs == 0 || job.bs % kSectorSize || job.bs > kMaxBlock)
        fail("bare.bs must be a multiple of 512, up to 64K");
    if (job.depth == 0 || job.depth > block.slots || job.depth * job.bs > kBufferBytes)
        fail("bare.depth does not fit the queue");
    uint64_t disk = block.sectors * kSectorSize;
    uint64_t span = cmdline_number("bare.span", disk - job.start * kSectorSize);
    job.blocks = span / job.bs;
    if (job.blocks == 0) fail("the disk is smaller than bare.bs");
    if (job.check || job.generate) job.ops = cmdline_number("bare.ops", job.blocks);
    return job;
}

static void measure(void) {
    struct job job = read_job();
    memset(buffers, 0x5a, (size_t)job.depth * job.bs);
    block.queue.interrupts = cmdline_number("bare.irq", 0);
    uint64_t warmup = cmdline_number("bare.warmup", 0);
    if (warmup) run(&job, warmup);
    memset(histogram, 0, sizeof histogram);
    uint64_t kicks = block.queue.kicks;
    put_text("begin\n");
    spin_cycles(cmdline_number("bare.hold", 0));
    struct outcome out = run(&job, job.ops);
    print_result(&job, &out, block.queue.kicks - kicks);
    spin_cycles(cmdline_number("bare.linger", 0));
}

static void restart(uint64_t times, uint64_t wanted) {
    if (!times) return;
    put_text("restarting\n");
    spin_cycles(cmdline_number("bare.hold", 0));
    for (uint64_t i = 0; i < times; i++) {
        block_add(&block, 0, kBlockIn, 0, buffers, kSectorSize);
        virtqueue_publish(&block.queue);
        const char* problem = block_start(&block, wanted);
        if (problem) fail(problem);
        if (block_request(&block, kBlockIn, 0, buffers, kSectorSize) != kBlockOk)
            fail("a read after a restart failed");
    }
}

void bare_main(void) {
    uint64_t wanted =
        VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_RO | VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
    if (!cmdline_number("bare.flush", 1)) wanted &= ~VIRTIO_BLK_F_FLUSH;
    if (cmdline_number("bare.event_idx", 1)) wanted |= VIRTIO_F_EVENT_IDX;
    if (cmdline_number("bare.indirect", 0)) wanted |= VIRTIO_F_INDIRECT_DESC;
    const char* problem = block_open(&block, (unsigned)cmdline_number("bare.disk", 0), wanted);
    if (problem) fail(problem);
    restart(cmdline_number("bare.restarts", 0), wanted);
    if (cmdline_is("bare.mode", "info"))
        print_info();
    else if (cmdline_is("bare.mode", "id"))
        print_id();
    else if (cmdline_is("bare.mode", "journal"))
        journal();
    else if (cmdline_is("bare.mode", "discard"))
        print_range(kBlockDiscard);
    else if (cmdline_is("bare.mode", "zeroes"))
        print_range(kBlockWriteZeroes);
    else
        measure();
}
