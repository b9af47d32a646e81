#include "devices/virtio/console.h"

#include <atomic>
#include <mutex>
#include <string>

#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What was printed.
class Screen final : public ConsoleOutput {
  public:
    void write(std::span<const std::byte> bytes) noexcept override {
        const std::lock_guard lock(mutex_);
        text_ += text_of(bytes);
    }
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

  private:
    std::mutex mutex_;
    std::string text_;
};

struct Setup {
    FakeRam ram;
    Screen screen;
    ConsoleDevice* device = nullptr;
    FakeDriver driver;
    FakeQueue receive{ram, 64};
    FakeQueue transmit{ram, 64};

    explicit Setup(std::optional<WindowSize> size = {}) : driver(ram, make(size)) {}
    std::unique_ptr<VirtioDevice> make(std::optional<WindowSize> size) {
        auto made = ConsoleDevice::create(screen, size).value();
        device = made.get();
        return made;
    }
    void start() { start(receive, transmit); }
    void start(const FakeQueue& rx, const FakeQueue& tx) {
        REQUIRE(driver.negotiate(kFeatureEventIndex | kFeatureIndirect));
        driver.configure(kConsoleReceive, rx.config());
        driver.configure(kConsoleTransmit, tx.config());
        driver.go();
    }
    size_t type(std::string_view text) const { return device->push(bytes_of(text)); }
    /// What comes in the next receive buffer, which `sent` is.
    std::string received(const AddedChain& sent) {
        const auto used = FakeDriver::wait_used(receive);
        REQUIRE(used.has_value());
        REQUIRE(used->head == sent.head);
        return text_of(ram.bytes(sent.buffers[0], used->written));
    }
};

}  // namespace

TEST_CASE("console: what the guest prints comes out, in order") {
    Setup setup;
    CHECK(setup.driver.read(mmio::kDeviceId) == 3);
    setup.start();
    setup.transmit.chain().readable("one ").readable("two ").add();
    setup.transmit.chain().readable("three").indirect().add();
    setup.transmit.publish();
    setup.driver.kick(kConsoleTransmit);
    for (unsigned i = 0; i < 2; ++i)
        CHECK(FakeDriver::wait_used(setup.transmit)->written == 0);
    CHECK(setup.screen.text() == "one two three");
    CHECK(setup.driver.take_interrupt());
}

TEST_CASE("console: more than a turn's bytes and chains come out whole") {
    Setup setup;
    setup.start();
    std::string expected;
    SECTION("bytes") {
        for (unsigned i = 0; i < 8; ++i) {
            const std::string text(40'000, static_cast<char>('a' + i));
            setup.transmit.chain().readable(text).add();
            expected += text;
        }
    }
    SECTION("chains") {
        for (unsigned i = 0; i < 64; ++i) {
            setup.transmit.chain().readable("x").add();
            expected += 'x';
        }
    }
    setup.transmit.publish();
    setup.driver.kick(kConsoleTransmit);
    while (setup.transmit.free_descriptors() != 64)
        REQUIRE(FakeDriver::wait_used(setup.transmit).has_value());
    CHECK(setup.screen.text() == expected);
}

TEST_CASE("console: what is typed fills the guest's buffers") {
    Setup setup;
    setup.start();
    const AddedChain first = setup.receive.chain().writable(4).add();
    const AddedChain second = setup.receive.chain().writable(64).add();
    setup.receive.publish();
    setup.driver.kick(kConsoleReceive);
    CHECK(setup.type("abcdef") == 6);
    CHECK(setup.received(first) == "abcd");
    CHECK(setup.received(second) == "ef");
    CHECK(setup.driver.take_interrupt());
}

TEST_CASE("console: typed bytes wait for a driver, for buffers, and for the end of a pause") {
    Setup setup;
    CHECK(setup.type("early") == 5);
    SECTION("there are buffers at its start") {
        const AddedChain sent = setup.receive.chain().writable(64).submit();
        setup.start();
        setup.driver.kick(kConsoleReceive);
        CHECK(setup.received(sent) == "early");
    }
    SECTION("buffers come later") {
        setup.start();
        setup.driver.worker().settle();
        const AddedChain sent = setup.receive.chain().writable(64).add();
        CHECK(setup.receive.publish());  // the device wants to hear of it
        setup.driver.kick(kConsoleReceive);
        CHECK(setup.received(sent) == "early");
    }
    SECTION("a pause") {
        setup.start();
        REQUIRE(setup.driver.transport().pause(std::chrono::seconds(5)));
        const AddedChain sent = setup.receive.chain().writable(64).submit();
        setup.driver.kick(kConsoleReceive);
        setup.driver.worker().settle();
        CHECK(setup.receive.used_index() == 0);
        setup.driver.transport().resume();
        CHECK(setup.received(sent) == "early");
    }
    SECTION("a reset") {
        setup.start();
        setup.receive.chain().writable(64).add();
        REQUIRE(setup.driver.reset());
        FakeQueue fresh(setup.ram, 64);
        REQUIRE(setup.driver.negotiate(kFeatureEventIndex));
        setup.driver.configure(kConsoleReceive, fresh.config());
        setup.driver.go();
        fresh.chain().writable(64).submit();
        setup.driver.kick(kConsoleReceive);
        CHECK(FakeDriver::wait_used(fresh)->written == 5);
    }
}

TEST_CASE("console: input is bounded, and its sender is told of room") {
    Setup setup;
    std::atomic<int> told = 0;
    setup.device->on_room([&] { ++told; });
    const std::string text(ConsoleDevice::kInputSize + 100, 'x');
    CHECK(setup.type(text) == ConsoleDevice::kInputSize);
    CHECK(setup.type("y") == 0);
    setup.start();
    setup.receive.chain().writable(1024).submit();
    setup.driver.kick(kConsoleReceive);
    REQUIRE(FakeDriver::wait_used(setup.receive).has_value());
    CHECK(told == 0);  // three quarters are full still
    setup.receive.chain().writable(2048).submit();
    setup.driver.kick(kConsoleReceive);
    REQUIRE(FakeDriver::wait_used(setup.receive).has_value());
    CHECK(wait_until([&] { return told == 1; }));
    CHECK(setup.type("y") == 1);
}

TEST_CASE("console: chains that are none of a console's need a reset, and one suffices") {
    Setup setup;
    setup.start();
    SECTION("a receive buffer to read") {
        setup.receive.chain().readable("x").submit();
    }
    SECTION("a receive buffer to do both with") {
        setup.receive.chain().readable("x").writable(8).submit();
    }
    SECTION("a transmit buffer to write") {
        setup.transmit.chain().writable(8).submit();
    }
    SECTION("a transmit buffer of more than 1 MiB") {
        auto chain = setup.transmit.chain();
        for (unsigned i = 0; i < 20; ++i)
            chain.raw({0}, 64 << 10U, 0);
        chain.submit();
    }
    setup.type("typed");
    setup.driver.kick(kConsoleReceive);
    setup.driver.kick(kConsoleTransmit);
    REQUIRE(wait_until([&] { return setup.driver.needs_reset(); }));
    CHECK(setup.screen.text().empty());
    CHECK(setup.transmit.used_index() == 0);

    const FakeQueue receive(setup.ram, 64);
    FakeQueue transmit(setup.ram, 64);
    setup.start(receive, transmit);
    transmit.chain().readable("again").submit();
    setup.driver.kick(kConsoleTransmit);
    REQUIRE(FakeDriver::wait_used(transmit).has_value());
    CHECK(setup.screen.text() == "again");
}

TEST_CASE("console: a driver that leaves a queue out gets the other one") {
    Setup setup;
    REQUIRE(setup.driver.negotiate(0));
    setup.driver.configure(kConsoleTransmit, setup.transmit.config());
    setup.driver.go();
    setup.type("nobody reads this");
    setup.driver.kick(kConsoleReceive);
    setup.transmit.chain().readable("out").submit();
    setup.driver.kick(kConsoleTransmit);
    REQUIRE(FakeDriver::wait_used(setup.transmit).has_value());
    CHECK(setup.screen.text() == "out");
    CHECK_FALSE(setup.driver.needs_reset());
}

TEST_CASE("console: tells its size where it is a terminal's") {
    Setup without;
    CHECK((without.driver.offered() & kFeatureConsoleSize) == 0);
    Setup with(WindowSize{.rows = 24, .columns = 80});
    CHECK((with.driver.offered() & kFeatureConsoleSize) != 0);
    CHECK(with.driver.read(mmio::kConfig) == (24U << 16U | 80U));
    // And once more when the guest first prints: a change, for drivers that only look then.
    with.start();
    with.driver.worker().settle();
    const auto told_at_print = [&with] {
        with.transmit.chain().readable("x").submit();
        with.driver.kick(kConsoleTransmit);
        REQUIRE(FakeDriver::wait_used(with.transmit).has_value());
        with.driver.worker().settle();
        const bool told = (with.driver.read(mmio::kInterruptStatus) & 2U) != 0;
        with.driver.write(mmio::kInterruptAck, 2);
        return told;
    };
    CHECK(told_at_print());
    CHECK_FALSE(told_at_print());
}
