// How connections begin, and how they are refused.
#include <sys/resource.h>
#include <sys/socket.h>

#include "support/vsock_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using Op = mote::virtio::VsockOp;
using std::chrono::milliseconds;

TEST_CASE("vsock: is what the specification says it is") {
    VsockDriver guest;
    CHECK(guest.driver.read(mmio::kDeviceId) == 19);
    CHECK(guest.driver.read64(mmio::kConfig) == 3);
    const uint64_t offered = guest.driver.offered();
    for (const uint64_t feature : {virtio::kFeatureVersion1, virtio::kFeatureEventIndex,
                                   virtio::kFeatureInOrder, virtio::kFeatureIndirect})
        CHECK((offered & feature) != 0);
}

TEST_CASE("vsock: a client of the host reaches a port of the guest") {
    VsockDriver guest;
    const HostSocket client = guest.client("CONNECT 1024\n");
    const auto request = guest.receive();
    REQUIRE(request.has_value());
    CHECK(request->op == Op::request);
    CHECK(request->host_cid == 2);
    CHECK(request->guest_cid == 3);
    CHECK(request->ports == VsockPorts{.host = 1U << 30U, .guest = 1024});
    CHECK(request->type == 1);
    CHECK(request->buffer_size > 64U << 10U);
    CHECK(request->data.empty());

    guest.send({.op = Op::response, .ports = request->ports});
    CHECK(client.line() == "OK 1073741824\n");
    client.send("ping");
    const auto ping = guest.receive();
    CHECK(ping->op == Op::rw);
    CHECK(ping->data == "ping");
    guest.send({.ports = request->ports, .data = "pong"});
    CHECK(client.read(4) == "pong");
}

TEST_CASE("vsock: ports of the host's clients go upward, refused ones too") {
    VsockDriver guest;
    const HostSocket first = guest.client("CONNECT 1\n");
    const auto refused = guest.receive();
    CHECK(refused->ports.host == 1U << 30U);
    guest.send({.op = Op::rst, .ports = refused->ports});
    CHECK(first.ended());
    const HostSocket second = guest.client("CONNECT 1\n");
    CHECK(guest.receive()->ports.host == (1U << 30U) + 1);
}

TEST_CASE("vsock: forms of the CONNECT line") {
    CHECK(parse_connect_line("CONNECT 5") == 5);
    CHECK(parse_connect_line("connect 5") == 5);
    CHECK(parse_connect_line("Connect 4294967295") == 4294967295);
    CHECK(parse_connect_line(" CONNECT \t 7 \r") == 7);
    CHECK(parse_connect_line("CONNECT 7 and more") == 7);
    for (const char* wrong : {"", "CONNECT", "CONNECT ", "CONNECT x", "CONNECT -1", "CONNECT 5x",
                              "CONNECT 4294967296", "CONNECT5", "CONNECTED 5", "HELLO 5", "5"})
        CHECK_FALSE(parse_connect_line(wrong).has_value());
}

TEST_CASE("vsock: what is no CONNECT line is closed, and the guest hears nothing") {
    VsockDriver guest;
    CHECK(guest.client("HELLO 5\n").ended());
    CHECK(guest.client("CONNECT five\n").ended());
    CHECK(guest.client("CONNECT                        5\n").ended());  // 33 bytes
    const HostSocket half = guest.client("CONNECT 5");
    ::shutdown(half.fd(), SHUT_WR);
    CHECK(half.ended());
    CHECK(guest.silent());
}

TEST_CASE("vsock: a line of 32 bytes is a line") {
    VsockDriver guest;
    const HostSocket client = guest.client("CONNECT                       5\n");
    CHECK(guest.receive()->ports.guest == 5);
}

TEST_CASE("vsock: a client that dribbles is waited for") {
    VsockDriver guest;
    const HostSocket client = guest.client("");
    for (const char c : std::string_view("CONNECT 1024\n")) {
        client.send(std::string_view(&c, 1));
        std::this_thread::sleep_for(milliseconds(2));
    }
    CHECK(guest.receive()->ports.guest == 1024);
}

TEST_CASE("vsock: but not for ever") {
    VsockDriver guest({.times = {.greeting = milliseconds(100)}});
    CHECK(guest.client("CONNECT 10").ended());
    CHECK(guest.client("").ended());
    CHECK(guest.silent());
}

TEST_CASE("vsock: bytes right behind the line are data") {
    VsockDriver guest;
    const HostSocket client = guest.client("CONNECT 9\nfirst");
    const auto request = guest.receive();
    CHECK(guest.silent());
    guest.send({.op = Op::response, .ports = request->ports});
    CHECK(guest.receive()->data == "first");
}

TEST_CASE("vsock: a guest that does not answer in time loses the client") {
    VsockDriver guest({.times = {.connect = milliseconds(100)}});
    const HostSocket client = guest.client("CONNECT 9\n");
    const auto request = guest.receive();
    CHECK(client.ended());
    const auto reset = guest.receive();
    CHECK(reset->op == Op::rst);
    CHECK(reset->ports == request->ports);
    // Too late.
    guest.send({.op = Op::response, .ports = request->ports});
    CHECK(guest.receive()->op == Op::rst);
}

TEST_CASE("vsock: a client that leaves before the answer is told to the guest") {
    VsockDriver guest;
    HostSocket client = guest.client("CONNECT 9\n");
    const auto request = guest.receive();
    client.close();
    const auto reset = guest.receive();
    CHECK(reset->op == Op::rst);
    CHECK(reset->ports == request->ports);
}

TEST_CASE("vsock: clients wait for the guest's driver") {
    VsockDriver guest({.start = false});
    const HostSocket good = guest.client("CONNECT 77\n");
    const HostSocket bad = guest.client("nonsense\n");
    std::this_thread::sleep_for(milliseconds(50));
    char byte = 0;
    CHECK(::recv(bad.fd(), &byte, 1, MSG_DONTWAIT) == -1);  // unanswered, not closed
    guest.start();
    CHECK(guest.receive()->ports.guest == 77);
    CHECK(bad.ended());
}

TEST_CASE("vsock: a client that comes during a pause is served after it") {
    VsockDriver guest;
    REQUIRE(guest.driver.transport().pause(milliseconds(1000)).has_value());
    const HostSocket client = guest.client("CONNECT 77\n");
    CHECK(guest.silent());
    guest.driver.transport().resume();
    CHECK(guest.receive()->ports.guest == 77);
}

TEST_CASE("vsock: the guest reaches a listener of the host") {
    VsockDriver guest;
    const auto [host, ports] = guest.connect_guest(52, 900);
    guest.send({.ports = ports, .data = "from the guest"});
    CHECK(host.read(14) == "from the guest");
    host.send("from the host");
    CHECK(guest.receive()->data == "from the host");
}

TEST_CASE("vsock: where nobody listens the guest gets a reset") {
    VsockDriver guest;
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 900}});
    const auto reset = guest.receive();
    CHECK(reset->op == Op::rst);
    CHECK(reset->ports == VsockPorts{.host = 52, .guest = 900});
}

TEST_CASE("vsock: a listener with a full backlog is asked again") {
    VsockDriver guest;
    const HostSocket listener = guest.listen(52, 0);
    // The first takes the only place.
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 1}});
    CHECK(guest.receive()->op == Op::response);
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 2}});
    CHECK(guest.silent());
    const HostSocket first = listener.accept();
    const auto response = guest.receive();
    CHECK(response->op == Op::response);
    CHECK(response->ports.guest == 2);
}

TEST_CASE("vsock: and given up after the time limit") {
    VsockDriver guest({.times = {.connect = milliseconds(100)}});
    const HostSocket listener = guest.listen(52, 0);
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 1}});
    CHECK(guest.receive()->op == Op::response);
    guest.send({.op = Op::request, .ports = {.host = 52, .guest = 2}});
    const auto reset = guest.receive();
    CHECK(reset->op == Op::rst);
    CHECK(reset->ports.guest == 2);
}

TEST_CASE("vsock: the limit of connections holds for both sides, and a place comes free") {
    VsockDriver guest({.max_connections = 2});
    auto first = guest.connect_host();
    auto second = guest.connect_guest();
    CHECK(guest.client("").ended());
    const HostSocket listener = guest.listen(60);
    guest.send({.op = Op::request, .ports = {.host = 60, .guest = 1}});
    CHECK(guest.receive()->op == Op::rst);

    guest.send({.op = Op::rst, .ports = first.ports});
    CHECK(first.host.ended());
    guest.send({.op = Op::request, .ports = {.host = 60, .guest = 1}});
    CHECK(guest.receive()->op == Op::response);
}

TEST_CASE("vsock: 1,023 connections at once") {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    REQUIRE(files.rlim_max >= 4096);  // both ends of each are in this process
    const rlimit more{.rlim_cur = 4096, .rlim_max = files.rlim_max};
    if (files.rlim_cur < more.rlim_cur) ::setrlimit(RLIMIT_NOFILE, &more);
    VsockDriver guest;
    std::vector<VsockDriver::Pair> pairs;
    for (unsigned i = 0; i < 1023; ++i)
        pairs.push_back(guest.connect_host(i));
    CHECK(guest.client("").ended());
    for (unsigned i = 0; i < 1023; i += 93) {
        guest.send({.ports = pairs[i].ports, .data = std::to_string(i)});
        CHECK(pairs[i].host.read(std::to_string(i).size()) == std::to_string(i));
        pairs[i].host.send("x");
        CHECK(guest.receive()->ports == pairs[i].ports);
    }
    ::setrlimit(RLIMIT_NOFILE, &files);
}

TEST_CASE("vsock: a reset by the driver ends every connection, and all begins anew") {
    VsockDriver guest;
    auto first = guest.connect_host();
    auto second = guest.connect_guest();
    const HostSocket greeting = guest.client("CONN");
    CHECK(guest.silent());
    REQUIRE(guest.driver.reset());
    CHECK(first.host.ended());
    CHECK(second.host.ended());
    CHECK(greeting.ended());
    guest.start();
    auto third = guest.connect_host();
    third.host.send("again");
    CHECK(guest.receive()->data == "again");
}
