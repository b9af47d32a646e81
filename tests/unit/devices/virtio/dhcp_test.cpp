#include <cstring>
#include <string>
#include <vector>

#include "devices/virtio/dhcp_responder.h"
#include "support/net_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;

namespace {

using Frame = std::vector<std::byte>;

constexpr Ipv4Address kGuest{0x0AD50002};
constexpr Ipv4Address kRouter{0x0AD50001};
constexpr Ipv4Address kEverybody{0xFFFFFFFF};
constexpr size_t kIp = 14;
constexpr size_t kUdp = 34;
constexpr size_t kDhcp = 42;
constexpr size_t kOptions = kDhcp + 240;

DhcpConfig config() {
    return {.setup = {.address = kGuest,
                      .prefix = 30,
                      .router = kRouter,
                      .name_servers = {{0x08080808}, {0x01010101}}},
            .mtu = {}};
}

void put(Frame& frame, size_t at, std::initializer_list<size_t> bytes) {
    for (const size_t byte : bytes)
        frame.at(at++) = static_cast<std::byte>(byte);
}

void put_address(Frame& frame, size_t at, Ipv4Address address) {
    const uint32_t v = address.value;
    put(frame, at, {v >> 24U, v >> 16U & 0xFFU, v >> 8U & 0xFFU, v & 0xFFU});
}

uint32_t number(const Frame& frame, size_t at, size_t size = 4) {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i)
        value = value << 8U | std::to_integer<uint32_t>(frame.at(at + i));
    return value;
}

/// A client's message with these options (the end is added), as a Linux guest sends it.
Frame message(const std::vector<unsigned>& options, Ipv4Address to = kEverybody) {
    const size_t size = std::max<size_t>(kOptions + options.size() + 1, kDhcp + 300);
    Frame frame(size);
    put(frame, 0, {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x52, 0x54, 0, 1, 2, 3, 8, 0});
    put(frame, kIp, {0x45, 0, (size - kIp) >> 8U, (size - kIp) & 0xFFU, 0, 0, 0, 0, 64, 17});
    put_address(frame, kIp + 16, to);
    put(frame, kUdp, {0, 68, 0, 67, (size - kUdp) >> 8U, (size - kUdp) & 0xFFU});
    put(frame, kDhcp, {1, 1, 6, 0, 0xDE, 0xAD, 0xBE, 0xEF});
    put(frame, kDhcp + 28, {0x52, 0x54, 0, 1, 2, 3});
    put(frame, kDhcp + 236, {0x63, 0x82, 0x53, 0x63});
    size_t at = kOptions;
    for (const unsigned option : options)
        frame[at++] = static_cast<std::byte>(option);
    frame[at] = std::byte{255};
    return frame;
}

/// The value of an option in an answer, as hexadecimal digits; "-" where it has none.
std::string option(const Frame& frame, unsigned code) {
    for (size_t at = kOptions; at < frame.size() && number(frame, at, 1) != 255;) {
        const size_t size = number(frame, at + 1, 1);
        if (number(frame, at, 1) == code) {
            std::string digits;
            for (size_t i = 0; i < size; ++i)
                digits += fmt::format("{:02x}", number(frame, at + 2 + i, 1));
            return digits;
        }
        at += 2 + size;
    }
    return "-";
}

uint32_t sum_of(const Frame& frame, size_t from, size_t to, uint32_t sum = 0) {
    for (size_t i = from; i < to; ++i)
        sum += number(frame, i, 1) << ((i - from) % 2 == 0 ? 8U : 0U);
    while (sum >> 16U != 0)
        sum = (sum & 0xFFFFU) + (sum >> 16U);
    return sum;
}

/// The answer, checked to be a well-formed packet, or an empty one.
Frame ask(DhcpResponder& server, const Frame& frame) {
    if (!server.wants(std::span(frame).first(std::min(frame.size(), FrameFilter::kHead))))
        return {};
    server.take(frame);
    Frame room(65536);
    room.resize(server.next(room));
    if (room.empty()) return {};
    CHECK(number(room, 12, 2) == 0x0800);
    CHECK(number(room, kIp + 2, 2) == room.size() - kIp);
    CHECK(number(room, kUdp + 4, 2) == room.size() - kUdp);
    CHECK(number(room, kUdp, 4) == 0x00430044);
    CHECK(sum_of(room, kIp, kUdp) == 0xFFFF);
    CHECK(sum_of(room, kUdp, room.size(),
                 sum_of(room, kIp + 12, kUdp) + 17 + number(room, kUdp + 4, 2)) == 0xFFFF);
    CHECK(number(room, kIp + 12) == kRouter.value);
    CHECK(number(room, kDhcp, 1) == 2);
    CHECK(number(room, kDhcp + 4) == 0xDEADBEEF);
    CHECK(number(room, kDhcp + 28) == 0x52540001);
    CHECK(option(room, 54) == "0ad50001");
    CHECK(room.size() >= kDhcp + 300);
    return room;
}

}  // namespace

TEST_CASE("dhcp: a client asks, is offered an address, and takes it") {
    DhcpResponder server(config());
    const Frame offer = ask(server, message({53, 1, 1, 55, 3, 1, 3, 6}));
    REQUIRE_FALSE(offer.empty());
    CHECK(option(offer, 53) == "02");
    CHECK(number(offer, kDhcp + 16) == kGuest.value);
    CHECK(option(offer, 1) == "fffffffc");
    CHECK(option(offer, 3) == "0ad50001");
    CHECK(option(offer, 6) == "0808080801010101");
    CHECK(option(offer, 51) == "00015180");
    CHECK(option(offer, 26) == "-");
    // To the client's own address, which it takes though it has none yet.
    CHECK(number(offer, 0) == 0x52540001);
    CHECK(number(offer, kIp + 16) == kGuest.value);

    const Frame ack = ask(server, message({53, 1, 3, 50, 4, 10, 213, 0, 2, 54, 4, 10, 213, 0, 1}));
    CHECK(option(ack, 53) == "05");
    CHECK(number(ack, kDhcp + 16) == kGuest.value);
    CHECK(option(ack, 51) == "00015180");
}

TEST_CASE("dhcp: a client that cannot take frames for its address yet is answered by broadcast") {
    DhcpResponder server(config());
    Frame discover = message({53, 1, 1});
    put(discover, kDhcp + 10, {0x80});
    const Frame offer = ask(server, discover);
    CHECK(number(offer, 0) == 0xFFFFFFFF);
    CHECK(number(offer, kIp + 16) == kEverybody.value);
    CHECK(number(offer, kDhcp + 10, 2) == 0x8000);
}

TEST_CASE("dhcp: a lease is renewed, straight or by broadcast") {
    DhcpResponder server(config());
    const Ipv4Address to{GENERATE(0x0AD50001U, 0xFFFFFFFFU, 0x0AD50003U)};
    Frame renewal = message({53, 1, 3}, to);
    put_address(renewal, kDhcp + 12, kGuest);
    const Frame ack = ask(server, renewal);
    CHECK(option(ack, 53) == "05");
    CHECK(number(ack, kIp + 16) == kGuest.value);
    CHECK(number(ack, kDhcp + 12) == kGuest.value);
}

TEST_CASE("dhcp: an address of another network is refused") {
    DhcpResponder server(config());
    const Frame nak = ask(server, message({53, 1, 3, 50, 4, 192, 168, 1, 7}));
    CHECK(option(nak, 53) == "06");
    CHECK(number(nak, kDhcp + 16) == 0);
    CHECK(option(nak, 51) == "-");
    CHECK(number(nak, kIp + 16) == kEverybody.value);
    CHECK(number(nak, 0) == 0xFFFFFFFF);
}

TEST_CASE("dhcp: a client with an address of its own is told the rest") {
    DhcpResponder server(config());
    Frame inform = message({53, 1, 8});
    put_address(inform, kDhcp + 12, kGuest);
    const Frame ack = ask(server, inform);
    CHECK(option(ack, 53) == "05");
    CHECK(number(ack, kDhcp + 16) == 0);
    CHECK(option(ack, 51) == "-");
    CHECK(option(ack, 6) == "0808080801010101");
}

TEST_CASE("dhcp: name servers and an MTU, as many as there are") {
    DhcpConfig other = config();
    other.mtu = 9000;
    other.setup.name_servers.clear();
    DhcpResponder without(other);
    const Frame offer = ask(without, message({53, 1, 1}));
    CHECK(option(offer, 6) == "-");
    CHECK(option(offer, 26) == "2328");
    other.setup.name_servers.assign(20, {0x08080808});
    DhcpResponder many(other);
    CHECK(option(ask(many, message({53, 1, 1})), 6).size() == size_t{8} * 8);
}

TEST_CASE("dhcp: what asks for no answer gets none") {
    DhcpResponder server(config());
    for (const unsigned type : {0U, 2U, 4U, 5U, 6U, 7U, 9U, 255U})
        CHECK(ask(server, message({53, 1, type})).empty());
    // Another server was chosen.
    CHECK(ask(server, message({53, 1, 3, 50, 4, 10, 213, 0, 2, 54, 4, 10, 0, 0, 9})).empty());
}

TEST_CASE("dhcp: frames that are not for this server pass") {
    DhcpResponder server(config());
    const auto wants = [&](const Frame& frame) {
        return server.wants(std::span(frame).first(std::min(frame.size(), FrameFilter::kHead)));
    };
    const Frame discover = message({53, 1, 1});
    CHECK(wants(discover));
    CHECK(wants(message({53, 1, 3}, kRouter)));
    CHECK_FALSE(wants(message({53, 1, 3}, {0x08080808})));
    const auto changed = [&](size_t at, unsigned value) {
        Frame frame = discover;
        put(frame, at, {value});
        return wants(frame);
    };
    CHECK_FALSE(changed(13, 6));          // ARP
    CHECK_FALSE(changed(kIp, 0x65));      // IPv6
    CHECK_FALSE(changed(kIp, 0x44));      // a header too short
    CHECK_FALSE(changed(kIp, 0x4F));      // options where the ports should be
    CHECK_FALSE(changed(kIp + 6, 0x20));  // a fragment
    CHECK_FALSE(changed(kIp + 9, 6));     // TCP
    CHECK_FALSE(changed(kUdp + 3, 68));
    for (size_t size = 0; size < kDhcp; ++size)
        CHECK_FALSE(server.wants(std::span(discover).first(size)));
}

TEST_CASE("dhcp: a packet with IP options is read all the same") {
    DhcpResponder server(config());
    Frame frame = message({53, 1, 1});
    frame.insert(frame.begin() + kUdp, 40, std::byte{1});
    put(frame, kIp, {0x4F, 0, (frame.size() - kIp) >> 8U, (frame.size() - kIp) & 0xFFU});
    CHECK(option(ask(server, frame), 53) == "02");
}

TEST_CASE("dhcp: malformed messages are dropped") {
    DhcpResponder server(config());
    const Frame discover = message({53, 1, 1});
    const auto changed = [&](size_t at, unsigned value, std::optional<unsigned> next = {}) {
        Frame frame = discover;
        put(frame, at, {value});
        if (next) put(frame, at + 1, {*next});
        server.take(frame);
        Frame room(65536);
        return server.next(room) != 0;
    };
    CHECK(changed(kIp + 1, 0));
    CHECK_FALSE(changed(kUdp + 4, 0xFF));     // a datagram longer than its packet
    CHECK_FALSE(changed(kUdp + 4, 0, 7));     // shorter than its header
    CHECK_FALSE(changed(kIp + 2, 0, 27));     // a packet shorter than its headers
    CHECK_FALSE(changed(kDhcp, 2));           // an answer
    CHECK_FALSE(changed(kDhcp + 1, 6));       // no Ethernet
    CHECK_FALSE(changed(kDhcp + 2, 16));      // no MAC address
    CHECK_FALSE(changed(kDhcp + 24, 1));      // by a relay
    CHECK_FALSE(changed(kDhcp + 28, 0xFF));   // a group's address
    CHECK_FALSE(changed(kDhcp + 239, 0));     // BOOTP
    CHECK_FALSE(changed(kOptions, 12));       // no type
    CHECK_FALSE(changed(kOptions + 1, 2));    // a type of two bytes
    CHECK_FALSE(changed(kOptions + 1, 255));  // an option longer than the message
    for (size_t size = 0; size < kOptions + 3; ++size)
        server.take(std::span(discover).first(size));
    Frame room(65536);
    CHECK(server.next(room) == 0);
}

TEST_CASE("dhcp: answers that nobody takes are few") {
    DhcpResponder server(config());
    for (int i = 0; i < 1000; ++i)
        server.take(message({53, 1, 1}));
    Frame room(65536);
    size_t answers = 0;
    while (server.next(room) != 0)
        ++answers;
    CHECK(answers == DhcpResponder::kMaxWaiting);
}

TEST_CASE("dhcp: on a network device: the guest's question does not reach the wire") {
    DhcpResponder server(config());
    NetDriver net(NetDriver::kAll, 256, &server);
    const Frame discover = message({53, 1, 1});
    net.add({reinterpret_cast<const char*>(discover.data()), discover.size()});
    net.add("a frame behind it");
    net.send();
    CHECK(net.wire->wait() == with_header("a frame behind it"));
    net.add_buffers(4, 2048);
    const auto answer = net.receive();
    REQUIRE(answer);
    CHECK(answer->substr(12 + kDhcp + 4, 4) == "\xDE\xAD\xBE\xEF");
    CHECK(net.counters().filtered == 1);
}
