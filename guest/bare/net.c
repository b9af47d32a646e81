// Frames on one network device. Words of the command line:
//   bare.mode=   info | echo | send | receive | stuck
//   bare.net=N  bare.ops=N (frames)  bare.bs=BYTES (of a frame to send)  bare.depth=N (sent at
//   once) bare.mrg=0|1  bare.event_idx=0|1  bare.seconds=N (of echo and receive, at most)
// echo sends each frame of EtherType 0x88b5 back, addresses exchanged, until one that begins with
// "end". send sends `ops` frames that carry their number. receive counts frames of that type until
// "end", or until there are `ops`. stuck gives the device no receive buffer until it is told "go"
// on the console, then is receive. Prints `ready`, then one line `result key=value ...`; times are
// in cycles of the time stamp counter.
#include "lib/net.h"

enum { kEtherHeader = 14, kTypeHigh = 0x88, kTypeLow = 0xb5, kMaxDepth = 64, kMaxSend = 65536 };

struct counts {
    uint64_t frames, bytes, others, longest;
};

static struct net_device net;
static uint8_t frames[kMaxDepth][kMaxSend];
static const struct net_header plain;

static bool is_ours(const uint8_t* frame, uint32_t bytes) {
    return bytes >= kEtherHeader + 4 && frame[12] == kTypeHigh && frame[13] == kTypeLow;
}

static bool is_end(const uint8_t* frame) {
    const uint8_t* text = frame + kEtherHeader;
    return text[0] == 'e' && text[1] == 'n' && text[2] == 'd';
}

static bool busy[kMaxDepth];

static unsigned free_slot(void) {
    for (;;) {
        for (int slot; (slot = net_reap(&net)) >= 0;)
            busy[slot] = false;
        for (unsigned i = 0; i < kMaxDepth; i++)
            if (!busy[i]) return i;
        cpu_relax();
    }
}

static void wait_all_sent(void) {
    for (unsigned i = 0; i < kMaxDepth; i++) {
        while (busy[i]) {
            for (int slot; (slot = net_reap(&net)) >= 0;)
                busy[slot] = false;
            cpu_relax();
        }
    }
}

static void send_back(const uint8_t* frame, uint32_t bytes) {
    unsigned slot = free_slot();
    uint8_t* copy = frames[slot];
    memcpy(copy, frame, bytes);
    memcpy(copy, frame + 6, 6);
    memcpy(copy + 6, net.mac, 6);
    busy[slot] = true;
    net_send(&net, slot, &plain, copy, bytes);
    virtqueue_publish(&net.transmit);
}

static void print_counts(const struct counts* counts, uint64_t cycles) {
    put_text("result mode=");
    put_word(cmdline_find("bare.mode"));
    put_pair("frames", counts->frames);
    put_pair("bytes", counts->bytes);
    put_pair("others", counts->others);
    put_pair("longest", counts->longest);
    put_pair("cycles", cycles);
    put_pair("tx-kicks", net.transmit.kicks);
    put_pair("rx-kicks", net.receive.kicks);
    put_pair("needs-reset", (virtio_read(&net.device, kStatus) & kNeedsReset) != 0);
    put_char('\n');
}

static void receive(bool echo) {
    uint64_t ops = cmdline_number("bare.ops", UINT64_MAX);
    struct counts counts = {0};
    uint64_t begin = 0, now = 0;
    while (counts.frames < ops) {
        const uint8_t* frame = NULL;
        uint32_t bytes = net_take(&net, &frame);
        if (bytes == 0) {
            cpu_relax();
            continue;
        }
        if (!is_ours(frame, bytes)) {
            counts.others++;
            continue;
        }
        if (is_end(frame)) break;
        now = read_tsc();
        if (begin == 0) begin = now;
        counts.frames++;
        counts.bytes += bytes;
        if (bytes > counts.longest) counts.longest = bytes;
        if (echo) send_back(frame, bytes);
    }
    wait_all_sent();
    print_counts(&counts, now - begin);
}

static void send_frames(void) {
    uint32_t bytes = (uint32_t)cmdline_number("bare.bs", 64);
    uint64_t ops = cmdline_number("bare.ops", 1000);
    if (bytes < kEtherHeader + 8 || bytes > kMaxSend) fail("bare.bs must be 22 to 65536");
    for (unsigned i = 0; i < kMaxDepth; i++) {
        memset(frames[i], 0xff, 6);
        memcpy(frames[i] + 6, net.mac, 6);
        frames[i][12] = kTypeHigh;
        frames[i][13] = kTypeLow;
    }
    struct counts counts = {0};
    uint64_t begin = read_tsc();
    for (; counts.frames < ops; counts.frames++) {
        unsigned slot = free_slot();
        memcpy(frames[slot] + kEtherHeader, &counts.frames, sizeof counts.frames);
        busy[slot] = true;
        net_send(&net, slot, &plain, frames[slot], bytes);
        virtqueue_publish(&net.transmit);
        counts.bytes += bytes;
    }
    wait_all_sent();
    print_counts(&counts, read_tsc() - begin);
}

static void print_info(void) {
    put_text("result mode=info");
    put_pair("offered", virtio_offered(&net.device));
    put_pair("mtu", net.mtu);
    put_text(" mac=");
    for (unsigned i = 0; i < kNetMacBytes; i++)
        put_hex(net.mac[i], 2);
    put_char('\n');
}

static void wait_for_go(void) {
    while (get_char() != 'g')
        cpu_relax();
}

void bare_main(void) {
    uint64_t wanted = VIRTIO_NET_F_MAC | VIRTIO_NET_F_MTU;
    if (cmdline_number("bare.event_idx", 1)) wanted |= VIRTIO_F_EVENT_IDX;
    if (cmdline_number("bare.mrg", 1)) wanted |= VIRTIO_NET_F_MRG_RXBUF;
    const char* problem = net_open(&net, (unsigned)cmdline_number("bare.net", 0), wanted);
    if (problem) fail(problem);
    if (cmdline_is("bare.mode", "info")) return print_info();
    put_text("ready\n");
    if (cmdline_is("bare.mode", "stuck") || cmdline_is("bare.mode", "send")) wait_for_go();
    for (unsigned slot = 0; slot < net.receive.size; slot++)
        net_add_buffer(&net, slot);
    net_publish_buffers(&net);
    if (cmdline_is("bare.mode", "send"))
        send_frames();
    else
        receive(cmdline_is("bare.mode", "echo"));
}
