// What flows through connections: credit, ends, fairness.
#include <sys/socket.h>

#include "support/vsock_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Op = mote::virtio::VsockOp;
using std::chrono::milliseconds;

namespace {

constexpr uint32_t kReceive = virtio::kVsockShutdownReceive;
constexpr uint32_t kSend = virtio::kVsockShutdownSend;
constexpr uint32_t kBoth = virtio::kVsockShutdownBoth;

/// Bytes that tell where they belong.
std::string numbered(size_t size, size_t from = 0) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>((from + i) * 31 >> 3U);
    return text;
}

/// Sends `size` bytes in packets of up to 64 KiB without looking at credit.
void send_all(VsockDriver& guest, VsockPorts ports, std::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min<size_t>(text.size(), 65536)))
        guest.send({.ports = ports, .data = std::string(text.substr(0, 65536))});
}

}  // namespace

TEST_CASE("vsock: many packets of the guest reach the host in order") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    std::string all;
    for (size_t i = 0; i < 200; ++i) {
        all += numbered(i, all.size());
        guest.send({.ports = ports, .data = numbered(i, all.size() - i)});
    }
    CHECK(host.read(all.size()) == all);
}

TEST_CASE("vsock: packets of two connections, mixed, reach each its own") {
    VsockDriver guest;
    const auto first = guest.connect_host();
    const auto second = guest.connect_guest();
    std::string one, two;
    for (size_t i = 0; i < 50; ++i) {
        one += "a" + std::to_string(i);
        guest.send({.ports = first.ports, .data = "a" + std::to_string(i)});
        if (i % 3 != 0) continue;
        two += "b" + std::to_string(i);
        guest.send({.ports = second.ports, .data = "b" + std::to_string(i)});
    }
    CHECK(first.host.read(one.size()) == one);
    CHECK(second.host.read(two.size()) == two);
}

TEST_CASE("vsock: much data of the host fills buffers of any size") {
    const uint32_t bytes = GENERATE(45U, 100U, 4096U, 65580U, 100'000U);
    VsockDriver guest({.buffers = 32, .buffer_bytes = bytes});
    const auto [host, ports] = guest.connect_host(7, 1U << 30U);
    const std::string text = numbered(std::min<size_t>(size_t{100} * (bytes - 44), 400'000));
    std::thread sender([&wire = host, &text] { wire.send(text); });
    std::string got;
    while (got.size() < text.size()) {
        const auto packet = guest.receive();
        REQUIRE(packet.has_value());
        REQUIRE(packet->op == Op::rw);
        REQUIRE(packet->data.size() <= 65536);
        got += packet->data;
    }
    sender.join();
    CHECK(got == text);
}

TEST_CASE("vsock: the guest may send its window to a host that does not read, and no byte more") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    // What the host's socket takes is free again; without reading that comes to an end.
    uint32_t free = VsockTable::kLargeWindow;
    uint64_t sent = 0;
    for (; free != 0; sent += 65536, free -= 65536) {
        guest.send({.ports = ports, .data = numbered(65536, sent)});
        if (!guest.silent())
            free = VsockTable::kLargeWindow -
                   static_cast<uint32_t>(sent + 65536 - guest.receive()->forwarded) + 65536;
    }
    CHECK(sent >= VsockTable::kLargeWindow);
    SECTION("it all comes out once the host reads, and the guest hears of it") {
        CHECK(host.read(sent) == numbered(sent));
        const auto update = guest.receive();
        CHECK(update->op == Op::credit_update);
        CHECK(update->buffer_size == VsockTable::kLargeWindow);
    }
    SECTION("one more resets the connection") {
        guest.send({.ports = ports, .data = "x"});
        CHECK(guest.receive()->op == Op::rst);
    }
}

TEST_CASE("vsock: credit grows while the host reads") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_guest();
    const std::string half = numbered(VsockTable::kLargeWindow / 2);
    send_all(guest, ports, half);
    CHECK(host.read(half.size()) == half);
    const auto update = guest.receive();
    CHECK(update->op == Op::credit_update);
    CHECK(update->forwarded == half.size());
}

TEST_CASE("vsock: a request for credit is answered") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_guest();
    guest.send({.ports = ports, .data = "12345"});
    CHECK(host.read(5) == "12345");
    guest.send({.op = Op::credit_request, .ports = ports});
    const auto update = guest.receive();
    CHECK(update->op == Op::credit_update);
    CHECK(update->forwarded == 5);
}

TEST_CASE("vsock: the guest's buffer is never overrun") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host(7, 100);
    host.send(numbered(250));
    std::string got = guest.receive()->data;
    CHECK(got.size() == 100);
    CHECK(guest.receive()->op == Op::credit_request);
    CHECK(guest.silent());
    guest.send({.op = Op::credit_update, .ports = ports, .buffer_size = 100, .forwarded = 60});
    got += guest.receive()->data;
    CHECK(got.size() == 160);
    CHECK(guest.receive()->op == Op::credit_request);
    // A smaller buffer than before takes nothing back that is under way.
    guest.send({.op = Op::credit_update, .ports = ports, .buffer_size = 10, .forwarded = 100});
    CHECK(guest.silent());
    // One that was overtaken says nothing new.
    guest.send({.op = Op::credit_update, .ports = ports, .buffer_size = 100, .forwarded = 160});
    guest.send({.op = Op::credit_update, .ports = ports, .buffer_size = 100, .forwarded = 100});
    got += guest.receive()->data;
    CHECK(got == numbered(250));
}

TEST_CASE("vsock: a guest that forwarded what it never got is reset") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    guest.send({.op = Op::credit_update, .ports = ports, .forwarded = 1});
    CHECK(guest.receive()->op == Op::rst);
    CHECK(host.ended());
}

TEST_CASE("vsock: the host ends its direction, and still hears the guest") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    host.send("last words");
    ::shutdown(host.fd(), SHUT_WR);
    CHECK(guest.receive()->data == "last words");
    const auto end = guest.receive();
    CHECK(end->op == Op::shutdown);
    CHECK(end->flags == kSend);
    guest.send({.ports = ports, .data = "an answer"});
    CHECK(host.read(9) == "an answer");
    guest.send({.op = Op::shutdown, .ports = ports, .flags = kBoth});
    CHECK(guest.receive()->op == Op::rst);
    CHECK(host.ended());
}

TEST_CASE("vsock: the guest ends its direction, and still hears the host") {
    VsockDriver guest({.times = {.close = milliseconds(50)}});
    const auto [host, ports] = guest.connect_host();
    guest.send({.ports = ports, .data = "last words"});
    guest.send({.op = Op::shutdown, .ports = ports, .flags = kSend});
    CHECK(host.read(100) == "last words");
    CHECK(guest.silent());  // no time limit for an open direction
    host.send("an answer");
    CHECK(guest.receive()->data == "an answer");
    // More would be against its word.
    guest.send({.ports = ports, .data = "x"});
    CHECK(guest.receive()->op == Op::rst);
}

TEST_CASE("vsock: the guest hears no more, and still speaks") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    guest.send({.op = Op::shutdown, .ports = ports, .flags = kReceive});
    guest.send({.ports = ports, .data = "still here"});
    CHECK(host.read(10) == "still here");
    CHECK(::send(host.fd(), "x", 1, MSG_NOSIGNAL) == -1);
    CHECK(guest.silent());
}

TEST_CASE("vsock: the host hears no more, and still speaks") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    ::shutdown(host.fd(), SHUT_RD);
    guest.send({.ports = ports, .data = "to nobody"});
    const auto end = guest.receive();
    CHECK(end->op == Op::shutdown);
    CHECK(end->flags == kReceive);
    host.send("still here");
    CHECK(guest.receive()->data == "still here");
}

TEST_CASE("vsock: a host that closes ends both directions after its data") {
    VsockDriver guest({.times = {.close = milliseconds(100)}});
    auto [host, ports] = guest.connect_host();
    host.send("last words");
    host.close();
    std::string data;
    std::optional<VsockPacket> packet;
    while ((packet = guest.receive()) && (packet->op == Op::rw || packet->flags != kBoth))
        data += packet->data;
    REQUIRE(packet.has_value());
    CHECK(packet->op == Op::shutdown);
    CHECK(data == "last words");
    SECTION("the guest agrees") {
        guest.send({.op = Op::rst, .ports = ports});
        CHECK(guest.silent());
    }
    SECTION("the guest says nothing: the time limit") {
        const auto reset = guest.receive();
        CHECK(reset->op == Op::rst);
        CHECK(reset->ports == ports);
    }
}

TEST_CASE("vsock: a guest that closes gets its data to a slow host first") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_host();
    const std::string text = numbered(VsockTable::kLargeWindow);
    send_all(guest, ports, text);
    guest.send({.op = Op::shutdown, .ports = ports, .flags = kBoth});
    std::string got;
    SECTION("and waits for the answer") {}
    SECTION("or does not") {
        guest.send({.op = Op::rst, .ports = ports});
    }
    while (got.size() < text.size()) {
        std::this_thread::sleep_for(milliseconds(1));
        const std::string part = host.read(std::min<size_t>(16384, text.size() - got.size()));
        REQUIRE(!part.empty());
        got += part;
    }
    CHECK(got == text);
    CHECK(host.ended());
}

TEST_CASE("vsock: a host that stalls does not keep a closed connection") {
    VsockDriver guest({.times = {.close = milliseconds(100)}});
    const auto [host, ports] = guest.connect_host();
    send_all(guest, ports, numbered(VsockTable::kLargeWindow));
    guest.send({.op = Op::shutdown, .ports = ports, .flags = kBoth});
    std::optional<VsockPacket> packet;
    while ((packet = guest.receive()) && packet->op == Op::credit_update) {
    }
    CHECK(packet->op == Op::rst);
}

TEST_CASE("vsock: floods of two hosts take turns") {
    VsockDriver guest({.buffers = 0});
    const auto first = guest.connect_host_with_buffers();
    const auto second = guest.connect_host_with_buffers();
    first.host.send(numbered(100'000));
    second.host.send(numbered(100'000));
    std::this_thread::sleep_for(milliseconds(50));
    unsigned of_first = 0;
    for (unsigned i = 0; i < 10; ++i) {
        guest.offer(1, 1000);
        of_first += guest.receive(false)->ports == first.ports ? 1 : 0;
    }
    CHECK(of_first == 5);
}

TEST_CASE("vsock: a guest that takes nothing holds up nobody but itself") {
    VsockDriver guest({.buffers = 0});
    const auto stuck = guest.connect_host_with_buffers();
    stuck.host.send(numbered(100'000));
    guest.send({.ports = stuck.ports, .data = "the other way is open"});
    CHECK(stuck.host.read(21) == "the other way is open");
}
