// What no honest driver sends.
#include "support/vsock_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Op = mote::virtio::VsockOp;
using std::chrono::milliseconds;

TEST_CASE("vsock: packets for no connection are answered by a reset") {
    VsockDriver guest;
    const VsockPorts nowhere{.host = 5, .guest = 6};
    for (const Op op : {Op::response, Op::shutdown, Op::rw, Op::credit_update, Op::credit_request,
                        static_cast<Op>(0), static_cast<Op>(8), static_cast<Op>(0xFFFF)}) {
        guest.send({.op = op, .ports = nowhere});
        const auto reset = guest.receive();
        CHECK(reset->op == Op::rst);
        CHECK(reset->ports == nowhere);
    }
    // A reset is not.
    guest.send({.op = Op::rst, .ports = nowhere});
    CHECK(guest.silent());
}

TEST_CASE("vsock: other kinds of socket are reset, in their own kind") {
    VsockDriver guest;
    const HostSocket listener = guest.listen(52);
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 1}, .type = 2});
    const auto reset = guest.receive();
    CHECK(reset->op == Op::rst);
    CHECK(reset->type == 2);
}

TEST_CASE("vsock: packets to or from somebody else are dropped") {
    VsockDriver guest;
    const HostSocket listener = guest.listen(52);
    const VsockPorts ports{.host = 52, .guest = 1};
    guest.send({.op = Op::request, .ports = ports, .host_cid = 1});
    guest.send({.op = Op::request, .ports = ports, .host_cid = 4});
    guest.send({.op = Op::request, .ports = ports, .host_cid = uint64_t{1} << 32U | 2});
    guest.send({.op = Op::request, .ports = ports, .guest_cid = 4});
    guest.send({.op = Op::request, .ports = ports, .guest_cid = uint64_t{1} << 32U | 3});
    CHECK(guest.silent());
}

TEST_CASE("vsock: what a connection's state does not allow resets it") {
    VsockDriver guest;
    SECTION("established") {
        const auto [host, ports] = guest.connect_host();
        for (const Op op : {Op::request, Op::response, static_cast<Op>(0), static_cast<Op>(8)}) {
            const auto again = guest.connect_host();
            guest.send({.op = op, .ports = again.ports});
            CHECK(guest.receive()->op == Op::rst);
            CHECK(again.host.ended());
        }
        guest.send({.ports = ports, .data = "unharmed"});
        CHECK(host.read(8) == "unharmed");
    }
    SECTION("not yet answered") {
        for (const Op op : {Op::request, Op::rw, Op::shutdown}) {
            const HostSocket client = guest.client("CONNECT 7\n");
            const auto request = guest.receive();
            guest.send({.op = op, .ports = request->ports, .data = "x"});
            CHECK(guest.receive()->op == Op::rst);
            CHECK(client.ended());
        }
    }
}

TEST_CASE("vsock: what is no packet breaks the device until a reset, and nothing else") {
    VsockDriver guest({.buffers = 1});
    const auto pair = guest.connect_host();
    virtio::VsockHeader header{};
    header.length = 10U;
    const auto bytes = std::as_bytes(std::span(&header, 1));
    unsigned queue = 1;
    SECTION("a header cut short") {
        guest.tx->chain().readable(bytes.first(43)).submit();
    }
    SECTION("less data than promised") {
        guest.tx->chain().readable(bytes).readable("123456789").submit();
    }
    SECTION("something to write to") {
        guest.tx->chain().readable(bytes).readable("0123456789").writable(10).submit();
    }
    SECTION("a receive buffer without room for data") {
        guest.rx->chain().writable(44).submit();
        pair.host.send(std::string(10'000, 'x'));
        queue = 0;
    }
    SECTION("a receive buffer to be read") {
        guest.rx->chain().readable("x").writable(100).submit();
        pair.host.send(std::string(10'000, 'x'));
        queue = 0;
    }
    guest.driver.kick(static_cast<uint16_t>(queue));
    REQUIRE(wait_until([&] { return guest.driver.needs_reset(); }));

    guest.start();
    const auto fresh = guest.connect_host();
    guest.send({.ports = fresh.ports, .data = "well again"});
    CHECK(fresh.host.read(10) == "well again");
}

TEST_CASE("vsock: a header in pieces is a header") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    virtio::VsockHeader header{};
    header.source_cid = 3U;
    header.destination_cid = 2U;
    header.source_port = ports.guest;
    header.destination_port = ports.host;
    header.type = uint16_t{1};
    header.op = uint16_t{5};
    header.length = 6U;
    header.buffer_size = 1U << 20U;
    const auto bytes = std::as_bytes(std::span(&header, 1));
    // Longer than the packet, too: the rest is nobody's.
    guest.tx->chain()
        .readable(bytes.first(1))
        .readable(bytes.subspan(1, 42))
        .readable(bytes.last(1))
        .readable("abc")
        .readable("def, and more")
        .submit();
    guest.driver.kick(1);
    CHECK(host.read(6) == "abcdef");
}

TEST_CASE("vsock: resets that the guest does not take are bounded") {
    VsockDriver guest({.buffers = 0});
    for (uint32_t i = 0; i < VsockTable::kMaxResets + 500; ++i)
        guest.send({.ports = {.host = 1, .guest = i}});
    guest.offer(64, 64);
    size_t count = 0;
    for (; count < VsockTable::kMaxResets; ++count)
        REQUIRE(guest.receive()->op == Op::rst);
    CHECK(guest.silent());
}
