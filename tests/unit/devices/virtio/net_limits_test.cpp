// The limits of a network device.
#include <thread>

#include "support/net_driver.h"
#include "support/net_frames.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

TEST_CASE("net: a limit holds back what the guest sends, in order") {
    NetDriver net(NetDriver::kAll, 256, nullptr, {}, {.ops = {.size = 4, .refill_ms = 400}});
    for (unsigned i = 0; i < 8; ++i)
        net.add(frame(i, 60));
    net.send();
    for (unsigned i = 0; i < 4; ++i)
        REQUIRE(net.wire->wait() == with_header(frame(i, 60)));
    net.settle();
    CHECK(net.wire->sends == 4);
    for (unsigned i = 4; i < 8; ++i)
        REQUIRE(net.wire->wait() == with_header(frame(i, 60)));
    REQUIRE(net.wait_sent(8));
    CHECK(net.counters().sent == 8);
    CHECK(net.counters().send_dropped == 0);
}

TEST_CASE("net: a limit of bytes counts frames without the virtio header") {
    NetDriver net(NetDriver::kAll, 256, nullptr, {},
                  {.ops = {}, .bytes = {.size = 600, .refill_ms = 3'600'000}});
    for (unsigned i = 0; i < 11; ++i)
        net.add(frame(i, 60));
    net.send();
    REQUIRE(net.wait_sent(10));
    net.settle();
    CHECK(net.counters().sent == 10);
    // A reset waits for no token.
    REQUIRE(net.driver->reset());
}

TEST_CASE("net: a limit holds back what the guest receives, and no frame is lost or changed") {
    const uint64_t features =
        GENERATE(uint64_t{NetDriver::kAll}, kFeatureEventIndex | kFeatureIndirect);
    NetDriver net(features, 256, nullptr, {.ops = {.size = 4, .refill_ms = 400}});
    net.add_buffers(20, 2048);
    for (unsigned i = 0; i < 8; ++i)
        REQUIRE(net.wire->put(frame(i, 100 + i)));
    for (unsigned i = 0; i < 4; ++i)
        REQUIRE(net.receive() == with_header(frame(i, 100 + i)));
    net.settle();
    CHECK(net.counters().received == 4);
    for (unsigned i = 4; i < 8; ++i)
        REQUIRE(net.receive() == with_header(frame(i, 100 + i)));
    CHECK(net.counters().receive_dropped == 0);
}

TEST_CASE("net: limits and the way back: a full host's end is not paid for twice") {
    NetDriver net(NetDriver::kAll, 256, nullptr, {}, {.ops = {.size = 60, .refill_ms = 3'600'000}});
    for (unsigned i = 0; i < 60; ++i)
        net.add(frame(i, 30000));
    net.send();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (unsigned i = 0; i < 60; ++i)
        REQUIRE(net.wire->wait() == with_header(frame(i, 30000)));
    REQUIRE(net.wait_sent(60));
}

TEST_CASE("net: what the filter takes and gives passes before the limits") {
    Filter filter;
    const RateLimits one{.ops = {.size = 1, .refill_ms = 3'600'000}};
    NetDriver net(NetDriver::kAll, 256, &filter, one, one);
    net.add_buffers(16, 2048);
    for (unsigned i = 0; i < 5; ++i) {
        net.add("filter " + std::to_string(i));
        net.send();
        REQUIRE(net.receive() == with_header("answer " + std::to_string(i)));
    }
    net.add(frame(1, 60));
    net.send();
    REQUIRE(net.wire->wait() == with_header(frame(1, 60)));
    // One frame of the host's passes, the next is held back; answers overtake it.
    REQUIRE(net.wire->put(frame(2, 60)));
    REQUIRE(net.wire->put(frame(3, 60)));
    REQUIRE(net.receive() == with_header(frame(2, 60)));
    net.add("filter last");
    net.send();
    CHECK(net.receive() == with_header("answer last"));
    CHECK(net.counters().filtered == 6);
}

TEST_CASE("net: a pause while a limit holds frames back") {
    NetDriver net(NetDriver::kAll, 256, nullptr, {.ops = {.size = 1, .refill_ms = 200}},
                  {.ops = {.size = 1, .refill_ms = 200}});
    net.add_buffers(4, 2048);
    for (unsigned i = 0; i < 2; ++i) {
        net.add(frame(i, 60));
        REQUIRE(net.wire->put(frame(i + 10, 60)));
    }
    net.send();
    REQUIRE(net.receive() == with_header(frame(10, 60)));
    REQUIRE(net.driver->transport().pause(std::chrono::milliseconds(1000)));
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    CHECK(net.rx->used_index() == 1);
    net.driver->transport().resume();
    CHECK(net.receive() == with_header(frame(11, 60)));
    CHECK(net.wait_sent(2));
}

TEST_CASE("net: limits come, change and go while the guest runs") {
    NetDriver net;
    const auto update = [&net](const RateLimitsUpdate& receive, const RateLimitsUpdate& send) {
        net.driver->worker().loop().post_and_wait(
            [&] { CHECK(net.device->update_limits(receive, send)); });
    };
    const auto send = [&net](unsigned count) {
        for (unsigned i = 0; i < count; ++i)
            net.add(frame(i, 60));
        net.send();
        net.settle();
    };
    net.add_buffers(32, 2048);
    send(3);
    CHECK(net.counters().sent == 3);
    const TokenBucketConfig two{.size = 2, .refill_ms = 3'600'000};
    update({.ops = two, .bytes = {}}, {.ops = two, .bytes = {}});
    send(5);
    CHECK(net.counters().sent == 5);
    for (unsigned i = 0; i < 5; ++i)
        REQUIRE(net.wire->put(frame(i, 60)));
    CHECK(wait_until([&] { return net.counters().received == 2; }));
    net.settle();
    CHECK(net.counters().received == 2);

    // What was held up goes on at once where the limit is gone.
    update({.ops = TokenBucketConfig{}, .bytes = {}}, {.ops = TokenBucketConfig{}, .bytes = {}});
    CHECK(wait_until([&] { return net.counters().sent == 8 && net.counters().received == 5; }));
}
