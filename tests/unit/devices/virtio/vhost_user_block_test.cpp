// A disk that a vhost-user back end serves, from the driver's start to the back end's loss.
#include "devices/virtio/vhost_user_block.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fake_driver.h"
#include "support/vhost_user_back_end.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::vhost_user;
using WriteResult = MmioTransport::WriteResult;
using std::chrono::milliseconds;

namespace {

constexpr auto kLong = std::chrono::seconds(10);

struct Rig {
    explicit Rig(milliseconds patience = kLong)
        : driver(ram, VhostUserBlock::create({.id = "disk0",
                                              .socket = back_end.take_front_end(),
                                              .path = "/x/y.sock",
                                              .patience = patience},
                                             ram.memory())
                          .value()) {}

    FakeBackEnd back_end;
    FakeRam ram = FakeRam::shared(uint64_t{8} << 20U, uint64_t{4} << 20U);
    FakeDriver driver;
    FakeQueue queue{ram, 16};

    bool start(size_t times = 1) {
        return driver.start(queue) && back_end.wait_for(Request::set_vring_enable, times);
    }
    /// Takes what the back end's last kick descriptor counts.
    uint64_t kicks() {
        uint64_t count = 0;
        const int fd = back_end.last(Request::set_vring_kick).files.at(0).get();
        return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
    }
    /// Interrupts the guest as the back end does.
    void call() {
        const uint64_t one = 1;
        const int fd = back_end.last(Request::set_vring_call).files.at(0).get();
        REQUIRE(::write(fd, &one, sizeof one) == sizeof one);
    }
    /// Answers all there is, as far as the driver's ring goes.
    void answer_all() const {
        const QueueConfig rings = queue.config();
        const auto added = ram.memory().load<uint16_t>({rings.driver.value + virtio::kRingIndex});
        ram.memory().ring_index({rings.device.value + virtio::kRingIndex})->store(*added);
    }
    bool lost() {
        return wait_until([this] { return driver.needs_reset(); });
    }
};

}  // namespace

TEST_CASE("vhost-user: the back end gets memory, ring and eventfds, in their order") {
    Rig rig;
    const size_t asked = rig.back_end.requests().size();
    REQUIRE(rig.start());
    std::vector<Request> told = rig.back_end.requests();
    told.erase(told.begin(), told.begin() + static_cast<ptrdiff_t>(asked));
    CHECK(told == std::vector{Request::set_features, Request::set_mem_table, Request::set_vring_num,
                              Request::set_vring_base, Request::set_vring_addr,
                              Request::set_vring_call, Request::set_vring_kick,
                              Request::set_vring_enable});
    CHECK(rig.back_end.last(Request::set_features).as<uint64_t>() ==
          (virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect |
           kFeatureProtocol));
    CHECK(rig.back_end.last(Request::set_vring_num).as<VringState>().number == 16);
    CHECK(rig.back_end.last(Request::set_vring_base).as<VringState>().number == 0);
    CHECK(rig.back_end.last(Request::set_vring_enable).as<VringState>().number == 1);
    const auto rings = rig.back_end.last(Request::set_vring_addr).as<VringAddresses>();
    CHECK(rings.descriptors == rig.queue.config().descriptors.value);
    CHECK(rings.available == rig.queue.config().driver.value);
    CHECK(rings.used == rig.queue.config().device.value);
}

TEST_CASE("vhost-user: what the back end maps is the guest's memory, and cannot be cut short") {
    Rig rig;
    REQUIRE(rig.start());
    const auto& message = rig.back_end.last(Request::set_mem_table);
    const auto table = message.as<MemoryTable>();
    REQUIRE(table.count == 2);
    CHECK(message.payload.size() == 8 + 2 * sizeof(MemoryRegion));
    REQUIRE(message.files.size() == 2);
    CHECK(table.regions[1].guest_address == uint64_t{4} << 30U);
    for (size_t i = 0; i < table.count; ++i) {
        const MemoryRegion& region = table.regions[i];
        CHECK(region.user_address == region.guest_address);
        const GuestAddress place{region.guest_address + 4096};
        rig.ram.memory().store<uint64_t>(place, 0x1234 + i);
        const int fd = message.files[i].get();
        const Mapping mapped =
            Mapping::create(region.size, MAP_SHARED, fd, region.offset, 0).value();
        uint64_t value = 0;
        std::memcpy(&value, mapped.data() + 4096, sizeof value);
        CHECK(value == 0x1234 + i);
        CHECK(::ftruncate(fd, 4096) != 0);
        CHECK(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0);
    }
}

TEST_CASE("vhost-user: kicks and interrupts pass mote by") {
    Rig rig;
    REQUIRE(rig.start());
    CHECK(rig.kicks() == 0);
    const uint64_t exits = rig.driver.exits;
    rig.driver.kick();
    rig.driver.worker().settle();
    CHECK(rig.kicks() == 1);
    CHECK_FALSE(rig.driver.take_interrupt());
    rig.call();
    CHECK(rig.driver.take_interrupt());
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 1);
    CHECK(rig.driver.exits == exits);
}

TEST_CASE("vhost-user: a kick before the start is not lost") {
    Rig rig;
    rig.driver.kick();
    REQUIRE(rig.start());
    CHECK(rig.kicks() == 1);
}

TEST_CASE("vhost-user: a reset stops the ring, and it starts again from the beginning") {
    Rig rig;
    rig.back_end.stopped_at = {.index = 0, .number = 77};
    for (size_t turn = 1; turn < 4; ++turn) {
        REQUIRE(rig.start(turn));
        CHECK(rig.driver.reset());
        CHECK(rig.back_end.count(Request::get_vring_base) == turn);
        CHECK(rig.back_end.last(Request::set_vring_base).as<VringState>().number == 0);
    }
    CHECK_FALSE(rig.driver.needs_reset());
}

TEST_CASE("vhost-user: a pause stops the ring, and it goes on where it was") {
    Rig rig;
    rig.back_end.stopped_at = {.index = 0, .number = 0xFFFF};
    REQUIRE(rig.start());
    REQUIRE(rig.driver.transport().pause(kLong));
    rig.kicks();
    rig.driver.transport().resume();
    REQUIRE(rig.back_end.wait_for(Request::set_vring_enable, 2));
    CHECK(rig.back_end.last(Request::set_vring_base).as<VringState>().number == 0xFFFF);
    CHECK(wait_until([&] { return rig.kicks() != 0; }));
    CHECK(rig.back_end.count(Request::set_mem_table) == 1);
    SECTION("although the back end has made its eventfd block, and filled it") {
        REQUIRE(rig.driver.transport().pause(kLong));
        const int fd = rig.back_end.last(Request::set_vring_kick).files.at(0).get();
        const uint64_t most = ~uint64_t{0} - 1;
        REQUIRE(::fcntl(fd, F_SETFL, O_RDWR) == 0);
        REQUIRE(::write(fd, &most, sizeof most) == sizeof most);
        rig.driver.transport().resume();
        rig.driver.worker().settle();
        CHECK(rig.back_end.wait_for(Request::set_vring_enable, 3));
    }
    SECTION("a reset of a paused one") {
        REQUIRE(rig.driver.transport().pause(kLong));
        CHECK(rig.driver.reset());
        rig.driver.transport().resume();
        CHECK(rig.start(3));
    }
}

TEST_CASE("vhost-user: a pause that is given up lets the ring go on once it has stopped") {
    Rig rig;
    rig.back_end.ignore(Request::get_vring_base);
    REQUIRE(rig.start());
    CHECK_FALSE(rig.driver.transport().pause(milliseconds(10)));
    rig.driver.worker().settle();
    REQUIRE(rig.back_end.count(Request::set_vring_enable) == 1);
    rig.back_end.answer(Request::get_vring_base);
    CHECK(rig.back_end.wait_for(Request::set_vring_enable, 2));
    rig.driver.worker().settle();
    CHECK_FALSE(rig.driver.needs_reset());
    SECTION("or is asked for again") {
        CHECK_FALSE(rig.driver.transport().pause(milliseconds(10)));
        const MmioTransport::Pause again = rig.driver.transport().start_pause();
        rig.driver.worker().settle();
        rig.back_end.answer(Request::get_vring_base);
        CHECK(MmioTransport::Pause(again).wait(std::chrono::steady_clock::now() + kLong));
        CHECK(rig.back_end.count(Request::set_vring_enable) == 2);
    }
}

TEST_CASE("vhost-user: the ring is stopped when nothing is in flight any more") {
    Rig rig;
    REQUIRE(rig.start());
    rig.queue.chain().writable(4).submit();
    SECTION("for a reset") {
        CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::reset_pending);
        std::this_thread::sleep_for(milliseconds(20));
        CHECK(rig.back_end.count(Request::get_vring_base) == 0);
        CHECK(rig.driver.transport().reset_pending());
        rig.answer_all();
        CHECK(wait_until([&] { return !rig.driver.transport().reset_pending(); }));
        CHECK(rig.back_end.count(Request::get_vring_base) == 1);
    }
    SECTION("for a pause") {
        CHECK_FALSE(rig.driver.transport().pause(milliseconds(10)));
        rig.driver.worker().settle();
        CHECK(rig.back_end.count(Request::get_vring_base) == 0);
        rig.answer_all();
        CHECK(rig.driver.transport().pause(kLong));
        CHECK(rig.back_end.count(Request::get_vring_base) == 1);
        CHECK(rig.back_end.count(Request::set_vring_enable) == 1);
    }
    CHECK_FALSE(rig.driver.needs_reset());
}

TEST_CASE("vhost-user: but it is stopped, whatever the driver's ring says") {
    Rig rig(milliseconds(100));
    REQUIRE(rig.start());
    rig.queue.write_available_index(0x1234);
    CHECK(rig.driver.reset());
    CHECK(rig.back_end.count(Request::get_vring_base) == 1);
    CHECK(rig.start(2));
}

TEST_CASE("vhost-user: a driver that enables no queue leaves the back end alone") {
    Rig rig;
    REQUIRE(rig.driver.negotiate(0));
    rig.driver.go();
    rig.driver.worker().settle();
    CHECK(rig.back_end.count(Request::set_features) == 0);
    CHECK(rig.driver.reset());
    CHECK(rig.start());
}

TEST_CASE("vhost-user: what a back end says unasked, or wrongly, loses it for good") {
    Rig rig;
    REQUIRE(rig.start());
    const uint64_t value = 0;
    const auto bytes = std::as_bytes(std::span(&value, 1));
    const auto resets = [&](FakeBackEnd::Answer answer) {
        rig.back_end.on(Request::get_vring_base, std::move(answer));
        CHECK(rig.driver.reset());
        // A reset takes the mark away; a start finds what has become of the disk.
        REQUIRE(rig.driver.negotiate(0));
        rig.driver.configure(0, rig.queue.config()).go();
    };
    SECTION("a byte") {
        rig.back_end.send_bytes(bytes.first(1));
    }
    SECTION("files") {
        const std::array<int, 1> files{STDERR_FILENO};
        rig.back_end.send(11, 5, 8, bytes, files);
    }
    SECTION("an answer to nothing") {
        rig.back_end.send(11, 5, 8, bytes);
    }
    SECTION("it hangs up") {
        rig.back_end.hang_up();
    }
    SECTION("a wrong size") {
        resets([&] { rig.back_end.send(11, 5, 4, bytes); });
    }
    SECTION("a wrong ring") {
        const VringState other{.index = 1, .number = 0};
        resets([&] { rig.back_end.send(11, 5, 8, std::as_bytes(std::span(&other, 1))); });
    }
    SECTION("a place that no ring has") {
        const VringState far{.index = 0, .number = 0x10000};
        resets([&] { rig.back_end.send(11, 5, 8, std::as_bytes(std::span(&far, 1))); });
    }
    SECTION("it hangs up where an answer is due") {
        resets([&] { rig.back_end.hang_up(); });
    }
    CHECK(rig.lost());
    // For good: neither a reset nor a pause waits for it, and no start brings it back.
    CHECK(rig.driver.transport().pause(kLong));
    rig.driver.transport().resume();
    CHECK(rig.driver.reset());
    REQUIRE(rig.driver.negotiate(0));
    rig.driver.configure(0, rig.queue.config()).go();
    CHECK(rig.lost());
}

TEST_CASE("vhost-user: a back end that hangs holds up no reset") {
    Rig rig(milliseconds(100));
    rig.back_end.ignore(Request::get_vring_base);
    REQUIRE(rig.start());
    CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::reset_pending);
    CHECK(wait_until([&] { return !rig.driver.transport().reset_pending(); }));
    CHECK(rig.driver.status() == 0);
    REQUIRE(rig.driver.negotiate(0));
    rig.driver.configure(0, rig.queue.config()).go();
    CHECK(rig.lost());
}

TEST_CASE("vhost-user: nor a destruction") {
    Rig rig;
    rig.back_end.ignore(Request::get_vring_base);
    REQUIRE(rig.start());
    SECTION("while it runs") {}
    SECTION("while it is to stop") {
        CHECK_FALSE(rig.driver.transport().pause(milliseconds(1)));
    }
}
