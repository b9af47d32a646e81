// Streams between a bare guest and the host. Words of the command line:
//   bare.mode=   echo (of bare.conns=N connections that the host makes) |
//                send | receive | pingpong (on one that the guest makes)
//   bare.port=N (of the host)  bare.bytes=N  bare.bs=BYTES (of one packet)  bare.ops=N (round
//   trips) bare.check=0|1 (checksums)  bare.event_idx=0|1  bare.go=1 (waits for "g" on the console)
//   bare.half=0 (send ends both directions at once); receive ends after bare.bytes where given
// Prints `ready`, then one line `result key=value ...`; times are in cycles of the time stamp
// counter, `sum` is the Adler-32 of all data.
#include "lib/vsock.h"

enum { kConnections = 1024, kFirstPort = 5000 };

static struct vsock_device vsock;
static struct vsock_connection table[kConnections];
static unsigned open_count;

static uint32_t adler(uint32_t sum, const uint8_t* data, uint32_t length) {
    uint32_t a = sum & 0xffff, b = sum >> 16;
    while (length) {
        uint32_t run = length < 5552 ? length : 5552;  // as much as 32 bits hold
        length -= run;
        while (run--)
            a += *data++, b += a;
        a %= 65521, b %= 65521;
    }
    return b << 16 | a;
}

static struct vsock_connection* find(const struct vsock_header* header) {
    for (unsigned i = 0; i < open_count; i++)
        if (table[i].host_port == header->source_port &&
            table[i].guest_port == header->destination_port)
            return &table[i];
    return NULL;
}

static void wait_packet(struct vsock_packet* packet) {
    while (!vsock_take(&vsock, packet)) {
        cpu_relax();
    }
}

// Makes a connection to bare.port and waits until it stands.
static struct vsock_connection* connect_host(void) {
    struct vsock_connection* connection = &table[open_count++];
    *connection = (struct vsock_connection){.host_port = (uint32_t)cmdline_number("bare.port", 52),
                                            .guest_port = kFirstPort};
    vsock_say(&vsock, connection, kVsockRequest, 0);
    struct vsock_packet packet;
    wait_packet(&packet);
    if (packet.header.op != kVsockResponse) fail("the host does not take the connection");
    vsock_account(&vsock, connection, &packet);
    vsock_give_back(&vsock, &packet);
    return connection;
}

// Ends it and waits for the host's answer; what still comes is dropped.
static void end(struct vsock_connection* connection, uint32_t flags) {
    vsock_say(&vsock, connection, kVsockShutdown, flags);
    for (;;) {
        struct vsock_packet packet;
        wait_packet(&packet);
        vsock_account(&vsock, connection, &packet);
        uint16_t op = packet.header.op;
        vsock_give_back(&vsock, &packet);
        if (op == kVsockRst) return;
        if (op == kVsockShutdown && flags != kVsockShutdownBoth)
            vsock_say(&vsock, connection, kVsockShutdown, flags = kVsockShutdownBoth);
    }
}

static void send_back(struct vsock_connection* connection, const struct vsock_packet* packet) {
    for (uint32_t spins = 0; vsock_credit(connection) < packet->header.length; spins++)
        if (spins == 1) fail("an echo without credit: the host sends more than it reads");
    unsigned slot;
    memcpy(vsock_slot(&vsock, &slot), packet->data, packet->header.length);
    vsock_send(&vsock, slot, connection, kVsockRw, 0, packet->header.length);
}

static void echo(void) {
    uint64_t left = cmdline_number("bare.conns", 1), bytes = 0, refused = 0;
    while (left) {
        struct vsock_packet packet;
        wait_packet(&packet);
        struct vsock_connection* connection = find(&packet.header);
        if (!connection && packet.header.op == kVsockRequest && open_count < kConnections) {
            connection = &table[open_count++];
            *connection = (struct vsock_connection){.host_port = packet.header.source_port,
                                                    .guest_port = packet.header.destination_port};
            // An even port is one that nobody listens on.
            bool taken = connection->guest_port % 2;
            if (!taken) open_count--, refused++;
            if (taken) vsock_account(&vsock, connection, &packet);
            vsock_say(&vsock, connection, taken ? kVsockResponse : kVsockRst, 0);
        } else if (connection) {
            vsock_account(&vsock, connection, &packet);
            bytes += packet.header.length;
            if (packet.header.op == kVsockRw) send_back(connection, &packet);
            if (packet.header.op == kVsockShutdown)
                vsock_say(&vsock, connection, kVsockShutdown, kVsockShutdownBoth);
            if (packet.header.op == kVsockRst) {
                *connection = table[--open_count];
                left--;
            }
        }
        vsock_give_back(&vsock, &packet);
    }
    put_text("result mode=echo");
    put_pair("bytes", bytes);
    put_pair("refused", refused);
}

static void fill(uint8_t* data, uint64_t from, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)((from + i) * 31 >> 3);
}

// Takes what has come without waiting; true when the stream goes on.
static void take_credit(struct vsock_connection* connection) {
    struct vsock_packet packet;
    while (vsock_take(&vsock, &packet)) {
        if (packet.header.op == kVsockRst) fail("the host reset the connection");
        vsock_account(&vsock, connection, &packet);
        vsock_give_back(&vsock, &packet);
    }
}

static void send(void) {
    uint64_t left = cmdline_number("bare.bytes", 1 << 20), from = 0;
    uint32_t bs = (uint32_t)cmdline_number("bare.bs", kVsockMaxData), sum = 1;
    bool check = cmdline_number("bare.check", 1);
    struct vsock_connection* connection = connect_host();
    uint64_t begin = read_tsc(), kicks = vsock.transmit.kicks;
    while (left) {
        uint32_t length = left < bs ? (uint32_t)left : bs;
        unsigned slot;
        uint8_t* data = vsock_slot(&vsock, &slot);
        if (check) {
            fill(data, from, length);
            sum = adler(sum, data, length);
        }
        for (take_credit(connection); vsock_credit(connection) < length; take_credit(connection))
            cpu_relax();
        vsock_send(&vsock, slot, connection, kVsockRw, 0, length);
        from += length;
        left -= length;
    }
    uint64_t cycles = read_tsc() - begin;
    kicks = vsock.transmit.kicks - kicks;
    end(connection, cmdline_number("bare.half", 1) ? kVsockShutdownSend : kVsockShutdownBoth);
    put_text("result mode=send");
    put_pair("bytes", from);
    put_pair("sum", sum);
    put_pair("cycles", cycles);
    put_pair("kicks", kicks);
}

static void receive(void) {
    bool check = cmdline_number("bare.check", 1);
    uint64_t bytes = 0, packets = 0, limit = cmdline_number("bare.bytes", UINT64_MAX);
    uint32_t sum = 1;
    struct vsock_connection* connection = connect_host();
    uint64_t begin = read_tsc();
    for (bool more = true; more && bytes < limit;) {
        struct vsock_packet packet;
        wait_packet(&packet);
        vsock_account(&vsock, connection, &packet);
        if (check) sum = adler(sum, packet.data, packet.header.length);
        bytes += packet.header.length;
        packets += packet.header.length != 0;
        if (packet.header.op == kVsockRst) fail("the host reset the connection");
        more = packet.header.op != kVsockShutdown || !(packet.header.flags & kVsockShutdownSend);
        vsock_give_back(&vsock, &packet);
    }
    uint64_t cycles = read_tsc() - begin;
    if (bytes < limit) end(connection, kVsockShutdownBoth);
    put_text("result mode=receive");
    put_pair("bytes", bytes);
    put_pair("sum", sum);
    put_pair("cycles", cycles);
    put_pair("packets", packets);
}

static void pingpong(void) {
    uint64_t ops = cmdline_number("bare.ops", 1000);
    uint32_t bs = (uint32_t)cmdline_number("bare.bs", 64);
    struct vsock_connection* connection = connect_host();
    uint64_t begin = read_tsc(), kicks = vsock.transmit.kicks;
    for (uint64_t i = 0; i < ops; i++) {
        unsigned slot;
        vsock_slot(&vsock, &slot)[0] = (uint8_t)i;
        vsock_send(&vsock, slot, connection, kVsockRw, 0, bs);
        for (uint32_t got = 0; got < bs;) {
            struct vsock_packet packet;
            wait_packet(&packet);
            vsock_account(&vsock, connection, &packet);
            if (got == 0 && packet.header.length && packet.data[0] != (uint8_t)i)
                fail("an answer to another question");
            got += packet.header.length;
            vsock_give_back(&vsock, &packet);
        }
    }
    uint64_t cycles = read_tsc() - begin;
    kicks = vsock.transmit.kicks - kicks;
    end(connection, kVsockShutdownBoth);
    put_text("result mode=pingpong");
    put_pair("ops", ops);
    put_pair("cycles", cycles);
    put_pair("kicks", kicks);
}

void bare_main(void) {
    uint64_t wanted = cmdline_number("bare.event_idx", 1) ? VIRTIO_F_EVENT_IDX : 0;
    const char* problem = vsock_open(&vsock, wanted);
    if (problem) fail(problem);
    put_text("ready\n");
    while (cmdline_number("bare.go", 0) && get_char() != 'g')
        cpu_relax();
    if (cmdline_is("bare.mode", "echo"))
        echo();
    else if (cmdline_is("bare.mode", "send"))
        send();
    else if (cmdline_is("bare.mode", "receive"))
        receive();
    else if (cmdline_is("bare.mode", "pingpong"))
        pingpong();
    else
        fail("bare.mode names no mode of this program");
    put_pair("needs-reset", (virtio_read(&vsock.device, kStatus) & kNeedsReset) != 0);
    put_char('\n');
}
