#include "devices/virtio/net.h"

#include <sys/socket.h>

#include <ctime>
#include <thread>

#include "support/net_driver.h"
#include "support/net_frames.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kRing = kFeatureEventIndex | kFeatureIndirect;

double cpu_ms() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

}  // namespace

TEST_CASE("net: what a driver finds") {
    FakeRam ram;
    FakeDriver driver(ram, NetDevice::create({.id = "net0",
                                              .backend = std::make_unique<SocketBackend>(),
                                              .mac = {{0x52, 0x54, 0, 1, 2, 3}},
                                              .mtu = uint16_t{9000},
                                              .receive_limits = {},
                                              .send_limits = {}})
                               .value());
    CHECK(driver.read(mmio::kDeviceId) == 1);
    CHECK(driver.offered() == (kFeatureVersion1 | kRing | kNetMergeable | kNetMac | kNetMtu |
                               kNetCsum | kNetGuestCsum | kNetGuestTso4 | kNetHostTso4));
    CHECK(driver.read(mmio::kConfig) == 0x01005452);
    CHECK((driver.read(mmio::kConfig + 4) & 0xFFFFU) == 0x0302);
    CHECK(driver.read(mmio::kConfig + 8) >> 16U == 9000);
}

TEST_CASE("net: without a MAC and an MTU neither is offered") {
    NetDriver net;
    CHECK((net.driver->offered() & (kNetMac | kNetMtu)) == 0);
}

TEST_CASE("net: the host's end gets the offloads agreed on, and none after a reset") {
    NetDriver net(NetDriver::kAll | kNetGuestCsum | kNetGuestTso4);
    CHECK((net.wire->offloads & (kNetGuestCsum | kNetGuestTso4)) ==
          (kNetGuestCsum | kNetGuestTso4));
    REQUIRE(net.driver->reset());
    CHECK(net.wire->offloads == 0);
}

TEST_CASE("net: frames of the host, in their order") {
    const uint64_t features =
        GENERATE(uint64_t{NetDriver::kAll}, kRing, kNetMergeable, uint64_t{0});
    NetDriver net(features);
    REQUIRE_FALSE(net.refused);
    net.add_buffers(100, 2048);
    for (unsigned i = 0; i < 300; ++i) {
        REQUIRE(net.wire->put(frame(i, 60 + i)));
        REQUIRE(net.receive() == with_header(frame(i, 60 + i)));
        CHECK(net.buffers_used == 1);
        net.add_buffers(1, 2048);
    }
    CHECK(net.counters().received == 300);
}

TEST_CASE("net: a frame takes as many merged buffers as it needs") {
    NetDriver net;
    const uint32_t size = GENERATE(12, 100, 1536, 65536);
    const auto buffers = static_cast<unsigned>(std::min<size_t>(256, 300000 / size));
    net.add_buffers(buffers, size);
    const size_t length = std::min<size_t>(65535, size_t{buffers} * size - 12);
    REQUIRE(net.wire->put(frame(1, length)));
    REQUIRE(net.receive() == with_header(frame(1, length)));
    CHECK(net.buffers_used == (length + 12 + size - 1) / size);
}

TEST_CASE("net: a buffer may be cut anywhere, and cross to an indirect table") {
    const uint64_t features = GENERATE(uint64_t{NetDriver::kAll}, kRing);
    NetDriver net(features);
    auto chain = net.rx->chain();
    chain.writable(11).writable(2).writable(50).rest_indirect().writable(37).writable(400);
    const AddedChain added = chain.submit();
    net.driver->kick(kNetReceive);
    REQUIRE(net.wire->put(frame(7, 300)));
    const auto used = FakeDriver::wait_used(*net.rx);
    REQUIRE(used.has_value());
    CHECK(used->written == 312);
    CHECK(net.ram.byte({added.buffers[0].value + 10}) == 1);  // num_buffers, over two parts
    CHECK(net.ram.byte(added.buffers[1]) == 0);
    CHECK(net.ram.byte({added.buffers[1].value + 1}) == '7');
    CHECK(net.ram.byte(added.buffers[2]) == ':');
}

TEST_CASE("net: a ring without buffers and a host that sends: no CPU, and nothing is lost") {
    const uint64_t features = GENERATE(uint64_t{NetDriver::kAll}, kRing);
    NetDriver net(features);
    net.add_buffers(4, 2048);
    unsigned sent = 0;
    while (net.wire->put(frame(sent, 1000)))
        ++sent;
    REQUIRE(sent > 20);
    for (unsigned i = 0; i < 4; ++i)
        REQUIRE(net.receive() == with_header(frame(i, 1000)));
    net.settle();
    const unsigned calls = net.wire->receives;
    const double before = cpu_ms();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(cpu_ms() - before < 50);
    CHECK(net.wire->receives == calls);
    for (unsigned i = 4; i < sent; ++i) {
        net.add_buffers(1, 2048);
        REQUIRE(net.receive() == with_header(frame(i, 1000)));
    }
}

TEST_CASE("net: a frame that does not fit waits for more buffers") {
    NetDriver net;
    net.add_buffers(2, 1536);
    REQUIRE(net.wire->put(frame(1, 6000)));
    net.settle();
    CHECK(net.rx->used_index() == 0);
    net.add_buffers(2, 1536);
    REQUIRE(net.receive() == with_header(frame(1, 6000)));
    CHECK(net.buffers_used == 4);
}

TEST_CASE("net: a driver that never has buffers enough loses the frame, not the link") {
    NetDriver net;
    net.add_buffers(2, 1536);
    REQUIRE(net.wire->put(frame(1, 6000)));
    net.settle();
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    REQUIRE(net.wire->put(frame(2, 100)));
    REQUIRE(net.receive() == with_header(frame(2, 100)));
    CHECK(net.counters().receive_dropped == 1);
}

TEST_CASE("net: what is too long for unmerged buffers is dropped, its buffer used for the next") {
    NetDriver net(kRing);
    net.add_buffers(1, 1526);
    REQUIRE(net.wire->put(frame(1, 1515)));
    REQUIRE(net.wire->put(frame(2, 1514)));
    REQUIRE(net.receive() == with_header(frame(2, 1514)));
    CHECK(net.counters().receive_dropped == 1);
    CHECK(net.counters().received == 1);
}

TEST_CASE("net: frames of the guest, in their order") {
    const uint64_t features = GENERATE(uint64_t{NetDriver::kAll}, kRing, uint64_t{0});
    NetDriver net(features);
    for (unsigned i = 0; i < 300; ++i) {
        const AddedChain sent = net.add(frame(i, 60 + i));
        net.send();
        REQUIRE(net.wire->wait() == with_header(frame(i, 60 + i)));
        const auto used = FakeDriver::wait_used(*net.tx);
        REQUIRE(used.has_value());
        CHECK(used->head == sent.head);
        CHECK(used->written == 0);
    }
    CHECK(net.counters().sent == 300);
}

TEST_CASE("net: a full host's end takes the rest once it has room, without CPU until then") {
    NetDriver net;
    unsigned added = 0;
    for (; added < 60; ++added)
        net.add(frame(added, 30000));
    net.send();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const unsigned calls = net.wire->sends;
    REQUIRE(calls < 60);
    const double before = cpu_ms();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(cpu_ms() - before < 50);
    CHECK(net.wire->sends == calls);
    for (unsigned i = 0; i < added; ++i)
        REQUIRE(net.wire->wait() == with_header(frame(i, 30000)));
    REQUIRE(net.wait_sent(added));
    CHECK(net.counters().send_dropped == 0);
}

TEST_CASE("net: one notification, and one interrupt at most, for many frames") {
    NetDriver net;
    for (unsigned i = 0; i < 100; ++i)
        net.add(frame(i, 60));
    net.tx->want_interrupt();
    const uint64_t kicks = net.driver->kicks;
    net.send();
    REQUIRE(net.wait_sent(100));
    CHECK(net.driver->kicks == kicks + 1);
    net.settle();
    CHECK(net.driver->take_interrupt());
    CHECK_FALSE(net.driver->take_interrupt());
}

TEST_CASE("net: large frames are given back while more are sent, small ones together") {
    NetDriver net;
    const size_t size = GENERATE(60U, 60'000U);
    uint16_t last_seen = 0;
    net.wire->before_send = [&] { last_seen = net.tx->used_index(); };
    for (unsigned i = 0; i < 3; ++i)
        net.add(frame(i, size));
    net.send();
    REQUIRE(net.wait_sent(3));
    net.settle();
    CHECK(last_seen == (size > 1500 ? 2 : 0));
}

TEST_CASE("net: a host's end that refuses frames drops them, and works when it is back") {
    NetDriver net;
    net.wire->send_error = GENERATE(-EIO, -EINVAL, -ENOMEM, -ENOBUFS);
    for (unsigned i = 0; i < 10; ++i)
        net.add(frame(i, 60));
    net.send();
    REQUIRE(net.wait_sent(10));
    CHECK(net.counters().send_dropped == 10);
    net.wire->send_error = 0;
    net.add(frame(99, 60));
    net.send();
    CHECK(net.wire->wait() == with_header(frame(99, 60)));
    net.add_buffers(1, 2048);
    REQUIRE(net.wire->put(frame(1, 80)));
    CHECK(net.receive() == with_header(frame(1, 80)));
}

TEST_CASE("net: a host's end that is gone makes the link quiet") {
    NetDriver net;
    net.add_buffers(8, 2048);
    const bool by_sending = GENERATE(true, false);
    net.wire->send_error = net.wire->receive_error = NetBackend::kGone;
    if (!by_sending) {
        REQUIRE(net.wire->put("wakes the device"));
        REQUIRE(wait_until([&] { return net.wire->receives != 0; }));
    }
    net.settle();
    for (unsigned i = 0; i < 10; ++i)
        net.add(frame(i, 60));
    net.send();
    REQUIRE(net.wait_sent(10));
    CHECK(net.counters().send_dropped == 10);
    const unsigned receives = net.wire->receives;
    for (unsigned i = 0; i < 10; ++i)
        net.wire->put("into the void");
    net.settle();
    CHECK(net.wire->receives == receives);
    CHECK(net.wire->sends == (by_sending ? 1 : 0));
    CHECK_FALSE(net.driver->needs_reset());
    // A new driver finds a device that takes frames, and drops them.
    net.start(NetDriver::kAll, 256);
    REQUIRE_FALSE(net.refused);
    net.add(frame(1, 60));
    net.send();
    CHECK(net.wait_sent(1));
}

TEST_CASE("net: a reset gives everything up, and the next driver starts afresh") {
    NetDriver net;
    net.add_buffers(100, 2048);
    for (unsigned i = 0; i < 30; ++i)
        net.add(frame(i, 30000));
    net.send();
    REQUIRE(net.driver->reset());
    while (net.wire->take()) {
    }
    net.start(kRing, 16);
    REQUIRE_FALSE(net.refused);
    net.add(frame(1, 60));
    net.send();
    CHECK(net.wire->wait() == with_header(frame(1, 60)));
    net.add_buffers(1, 2048);
    REQUIRE(net.wire->put(frame(2, 60)));
    CHECK(net.receive() == with_header(frame(2, 60)));
}

TEST_CASE("net: while paused nothing moves; then what came in meanwhile does") {
    NetDriver net;
    net.add_buffers(8, 2048);
    net.settle();
    REQUIRE(net.driver->transport().pause(std::chrono::milliseconds(1000)));
    REQUIRE(net.wire->put(frame(1, 60)));
    net.add(frame(2, 60));
    net.send();
    net.settle();
    CHECK(net.rx->used_index() == 0);
    CHECK_FALSE(net.wire->take().has_value());
    net.driver->transport().resume();
    CHECK(net.receive() == with_header(frame(1, 60)));
    CHECK(net.wire->wait() == with_header(frame(2, 60)));
}

TEST_CASE("net: a pause while the host's end is full") {
    NetDriver net;
    for (unsigned i = 0; i < 60; ++i)
        net.add(frame(i, 30000));
    net.send();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    REQUIRE(net.driver->transport().pause(std::chrono::milliseconds(1000)));
    unsigned arrived = 0;
    while (net.wire->take())
        ++arrived;
    net.settle();
    CHECK_FALSE(net.wire->take().has_value());
    net.driver->transport().resume();
    for (; arrived < 60; ++arrived)
        REQUIRE(net.wire->wait() == with_header(frame(arrived, 30000)));
}

TEST_CASE("net: a chain that is no frame breaks its queue") {
    NetDriver net;
    SECTION("a frame with a part to write") {
        net.tx->chain().readable(with_header("data")).writable(4).submit();
        net.driver->kick(kNetTransmit);
    }
    SECTION("a frame without a whole header") {
        net.tx->chain().readable("short").submit();
        net.driver->kick(kNetTransmit);
    }
    SECTION("a receive buffer to read") {
        net.rx->chain().readable("full").writable(2048).submit();
        net.wire->put("data");
        net.driver->kick(kNetReceive);
    }
    SECTION("a receive buffer smaller than a header") {
        net.rx->chain().writable(11).submit();
        net.wire->put("data");
        net.driver->kick(kNetReceive);
    }
    REQUIRE(wait_until([&] { return net.driver->needs_reset(); }));
    CHECK(net.rx->used_index() == 0);
    CHECK(net.tx->used_index() == 0);
    net.start(NetDriver::kAll, 64);
    net.add(frame(1, 60));
    net.send();
    CHECK(net.wire->wait().has_value());
}

TEST_CASE("net: a frame beyond 64 KiB is dropped") {
    NetDriver net;
    net.add(frame(1, NetDevice::kMaxFrame - 11));
    net.add(frame(2, NetDevice::kMaxFrame - 12));
    net.send();
    CHECK(net.wire->wait() == with_header(frame(2, NetDevice::kMaxFrame - 12)));
    REQUIRE(net.wait_sent(2));
    CHECK(net.counters().send_dropped == 1);
}

TEST_CASE("net: queues that the driver did not enable") {
    NetDriver net;
    REQUIRE(net.driver->negotiate(NetDriver::kAll));
    const uint16_t enabled = GENERATE(kNetReceive, kNetTransmit);
    FakeQueue queue(net.ram, 16);
    net.driver->configure(enabled, queue.config()).go();
    net.wire->put("data");
    net.driver->kick(kNetReceive);
    net.driver->kick(kNetTransmit);
    net.settle();
    CHECK_FALSE(net.driver->needs_reset());
    CHECK(net.driver->reset());
}

TEST_CASE("net: a filter takes what it wants and answers, beside the host's frames") {
    Filter filter;
    NetDriver net(NetDriver::kAll, 256, &filter);
    net.add(frame(1, 100));
    net.add("filter this");
    net.add(frame(2, 100));
    net.send();
    CHECK(net.wire->wait() == with_header(frame(1, 100)));
    CHECK(net.wire->wait() == with_header(frame(2, 100)));
    REQUIRE(net.wait_sent(3));
    CHECK(net.counters().filtered == 1);
    // The answer waited for buffers.
    net.add_buffers(8, 64);
    CHECK(net.receive() == with_header("answer this"));
    REQUIRE(net.wire->put(frame(3, 200)));
    CHECK(net.receive() == with_header(frame(3, 200)));
    net.add("filter that");
    net.send();
    CHECK(net.receive() == with_header("answer that"));
}
