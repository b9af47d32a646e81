#include "devices/virtio/mmio_transport.h"

#include <cstring>

#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using WriteResult = MmioTransport::WriteResult;

namespace {

/// A device whose requests finish when the test says so. Members are touched on the worker only.
class SlowDevice final : public VirtioDevice {
  public:
    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return 42; }
    [[nodiscard]] uint64_t features() const override {
        return virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect;
    }
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&config_value, 1));
    }

    Result<> activate(const Activation& activation) override {
        if (refuse) return fail("the host has no such thing");
        queues = {activation.queues[0], activation.queues[1]};
        interrupt = &activation.interrupt;
        agreed = activation.features;
        return {};
    }
    bool on_queue(uint16_t index) override {
        ++turns;
        if (draining_) return false;
        if (auto chain = queues[index]->pop()) held.push_back(*std::move(chain));
        return queues[index]->enable_notifications();
    }
    void config_write(uint64_t offset, std::span<const std::byte> data) override {
        config_offset = offset;
        std::memcpy(&config_written, data.data(), std::min(data.size(), sizeof config_written));
    }
    void drain(std::function<void()> done) override {
        draining_ = true;
        on_drained_ = std::move(done);
        settle();
    }
    void resume() override { draining_ = false; }
    void reset() override {
        held.clear();
        draining_ = false;
        queues = {};
    }

    /// Completes what is in flight.
    void finish() {
        for (Chain& chain : held)
            queues[0]->complete(std::move(chain), 1);
        held.clear();
        if (queues[0]->publish()) interrupt->queue(0);
        settle();
    }

    uint64_t config_value = 0x1122334455667788;
    bool refuse = false;
    std::array<Queue*, 2> queues{};
    VirtioInterrupt* interrupt = nullptr;
    uint64_t agreed = 0;
    unsigned turns = 0;
    std::vector<Chain> held;
    uint64_t config_offset = 0;
    uint64_t config_written = 0;

  private:
    static constexpr std::array<uint16_t, 2> kSizes{256, 16};
    void settle() {
        if (held.empty() && on_drained_) std::exchange(on_drained_, {})();
    }
    const std::string name_ = "slow0";
    bool draining_ = false;
    std::function<void()> on_drained_;
};

struct Rig {
    FakeRam ram;
    SlowDevice* device = new SlowDevice;
    FakeDriver driver{ram, std::unique_ptr<VirtioDevice>(device)};
    FakeQueue queue{ram, 16};

    template <class Function>
    void on_worker(Function function) {
        driver.worker().loop().post_and_wait(function);
    }
    size_t held() {
        size_t count = 0;
        on_worker([&] { count = device->held.size(); });
        return count;
    }
};

}  // namespace

TEST_CASE("transport: doorbells are known from the start") {
    Rig rig;
    const auto bells = rig.driver.transport().doorbells();
    REQUIRE(bells.size() == 3);
    CHECK((bells[0].offset == 0x50 && bells[0].value == 0 && bells[0].length == 4));
    CHECK((bells[1].offset == 0x50 && bells[1].value == 1 && bells[1].length == 4));
    CHECK((bells[2].offset == 0x64 && bells[2].value == 1 && bells[2].length == 4));
}

TEST_CASE("transport: start, request, interrupt, acknowledge; exits only before and after") {
    Rig rig;
    CHECK(rig.driver.read64(mmio::kConfig) == 0x1122334455667788);
    REQUIRE(rig.driver.start(rig.queue));
    const uint64_t exits = rig.driver.exits;
    CHECK(rig.queue.want_interrupt());
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    REQUIRE(wait_until([&] { return rig.held() == 1; }));
    CHECK_FALSE(rig.driver.take_interrupt());
    rig.on_worker([&] { rig.device->finish(); });
    CHECK(rig.driver.take_interrupt());
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 1);
    rig.driver.write(mmio::kInterruptAck, 1);
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 1);
    CHECK(rig.driver.wait_used(rig.queue)->written == 1);
    CHECK(rig.driver.exits == exits);
    rig.on_worker([&] {
        CHECK(rig.device->agreed == rig.device->features());
        CHECK(rig.device->queues[0] != nullptr);
        CHECK(rig.device->queues[1] == nullptr);  // the driver did not enable it
    });
}

TEST_CASE("transport: a kick before activation is not lost") {
    Rig rig;
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    REQUIRE(rig.driver.start(rig.queue));
    CHECK(wait_until([&] { return rig.held() == 1; }));
    rig.on_worker([&] { rig.device->finish(); });
}

TEST_CASE("transport: notifications that exit work like those that do not") {
    Rig rig;
    REQUIRE(rig.driver.start(rig.queue));
    rig.queue.chain().writable(4).submit();
    const uint32_t zero = 0;
    CHECK(rig.driver.transport().write(mmio::kQueueNotify, std::as_bytes(std::span(&zero, 1))) ==
          WriteResult::done);
    CHECK(wait_until([&] { return rig.held() == 1; }));
    rig.on_worker([&] { rig.device->finish(); });
}

TEST_CASE("transport: a queue that cannot be needs a reset, and is told so") {
    Rig rig;
    REQUIRE(rig.driver.negotiate(virtio::kFeatureEventIndex));
    QueueConfig config = rig.queue.config();
    SECTION("size") {
        config.size = 3;
    }
    SECTION("larger than offered") {
        config.size = 512;
    }
    SECTION("place") {
        config.device = {0xC000'1000};
    }
    rig.driver.configure(0, config).go();
    CHECK(rig.driver.needs_reset());
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 3);
    CHECK(rig.driver.take_interrupt());
    CHECK(rig.driver.reset());
    CHECK(rig.driver.start(rig.queue));
}

TEST_CASE("transport: a broken ring needs a reset; the other queue is left alone") {
    Rig rig;
    FakeQueue second(rig.ram, 16);
    REQUIRE(rig.driver.negotiate(virtio::kFeatureEventIndex));
    rig.driver.configure(0, rig.queue.config()).configure(1, second.config()).go();
    rig.queue.write_available_index(100);
    rig.driver.kick(0);
    CHECK(wait_until([&] { return rig.driver.needs_reset(); }));
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 3);
    // The register shows it a moment before the line does.
    CHECK(wait_until([&] { return rig.driver.take_interrupt(); }));
    CHECK(rig.driver.reset());
    FakeQueue fresh(rig.ram, 16);
    REQUIRE(rig.driver.start(fresh));
    fresh.chain().writable(1).submit();
    rig.driver.kick();
    CHECK(wait_until([&] { return rig.held() == 1; }));
    rig.on_worker([&] { rig.device->finish(); });
}

TEST_CASE("transport: a device that the host fails needs a reset") {
    Rig rig;
    rig.on_worker([&] { rig.device->refuse = true; });
    REQUIRE(rig.driver.negotiate(virtio::kFeatureEventIndex));
    rig.driver.configure(0, rig.queue.config()).go();
    CHECK(wait_until([&] { return rig.driver.needs_reset(); }));
    rig.on_worker([&] { rig.device->refuse = false; });
    CHECK(rig.driver.start(rig.queue));
}

TEST_CASE("transport: a reset is done when nothing is in flight any more") {
    Rig rig;
    bool told = false;
    rig.on_worker([&] { rig.driver.transport().on_reset_done([&told] { told = true; }); });
    REQUIRE(rig.driver.start(rig.queue));
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    REQUIRE(wait_until([&] { return rig.held() == 1; }));

    CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::reset_pending);
    CHECK(rig.driver.transport().reset_pending());
    CHECK(rig.driver.status() == 15);
    // Another vCPU's writes change nothing meanwhile.
    CHECK(rig.driver.write(mmio::kStatus, 1) == WriteResult::reset_pending);
    rig.driver.worker().settle();
    CHECK(rig.driver.status() == 15);

    rig.on_worker([&] {
        rig.device->finish();
        CHECK(told);
    });
    CHECK_FALSE(rig.driver.transport().reset_pending());
    CHECK(rig.driver.status() == 0);
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 0);
    CHECK(rig.queue.used_index() == 0);  // the rings were the driver's own again
    CHECK_FALSE(rig.driver.take_interrupt());

    FakeQueue fresh(rig.ram, 16);
    CHECK(rig.driver.start(fresh));
}

TEST_CASE("transport: a reset of a device that never ran needs no worker") {
    Rig rig;
    rig.driver.worker().stop();
    CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::done);
    rig.driver.write(mmio::kStatus, 1);
    CHECK(rig.driver.status() == 1);
    CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::done);
    CHECK(rig.driver.status() == 0);
}

TEST_CASE("transport: pause waits for what is in flight, for a limited time") {
    Rig rig;
    REQUIRE(rig.driver.start(rig.queue));
    REQUIRE(rig.driver.transport().pause(std::chrono::seconds(10)));
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    rig.driver.worker().settle();
    CHECK(rig.held() == 0);
    rig.driver.transport().resume();
    REQUIRE(wait_until([&] { return rig.held() == 1; }));

    const auto late = rig.driver.transport().pause(std::chrono::milliseconds(1));
    REQUIRE_FALSE(late);
    CHECK(late.error().message ==
          "device 'slow0': requests are still in flight; is its storage hung?");
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    CHECK(wait_until([&] { return rig.held() == 2; }));  // it went on
    rig.on_worker([&] { rig.device->finish(); });
    CHECK(rig.driver.transport().pause(std::chrono::seconds(10)));
    rig.driver.transport().resume();
}

TEST_CASE("transport: a pause and a reset that wait for the same request both end") {
    Rig rig;
    REQUIRE(rig.driver.start(rig.queue));
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    REQUIRE(wait_until([&] { return rig.held() == 1; }));
    SECTION("reset first") {
        CHECK(rig.driver.write(mmio::kStatus, 0) == WriteResult::reset_pending);
        std::thread finisher([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            rig.on_worker([&] { rig.device->finish(); });
        });
        CHECK(rig.driver.transport().pause(std::chrono::seconds(10)));
        finisher.join();
    }
    SECTION("pause first") {
        std::thread finisher([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            rig.driver.write(mmio::kStatus, 0);
            rig.on_worker([&] { rig.device->finish(); });
        });
        CHECK(rig.driver.transport().pause(std::chrono::seconds(10)));
        finisher.join();
    }
    CHECK(wait_until([&] { return rig.driver.status() == 0; }));
    // Still paused: a device that is started now waits for resume().
    FakeQueue fresh(rig.ram, 16);
    REQUIRE(rig.driver.start(fresh));
    fresh.chain().writable(1).submit();
    rig.driver.kick();
    rig.driver.worker().settle();
    CHECK(rig.held() == 0);
    rig.driver.transport().resume();
    CHECK(wait_until([&] { return rig.held() == 1; }));
    rig.on_worker([&] { rig.device->finish(); });
}

TEST_CASE("transport: the configuration space changes with an interrupt") {
    Rig rig;
    REQUIRE(rig.driver.start(rig.queue));
    rig.on_worker([&] {
        rig.device->config_value = 5;
        rig.device->interrupt->config();
    });
    CHECK(rig.driver.take_interrupt());
    CHECK(rig.driver.read64(mmio::kConfig) == 5);
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 3);
    const uint64_t exits = rig.driver.exits;
    rig.driver.write(mmio::kInterruptAck, 3);
    CHECK(rig.driver.exits == exits + 1);
    CHECK(rig.driver.read(mmio::kInterruptStatus) == 1);
}

TEST_CASE("transport: writes to the configuration space reach a running device, in any width") {
    Rig rig;
    const uint64_t value = 0xAABB;
    const auto bytes = std::as_bytes(std::span(&value, 1));
    rig.driver.transport().write(0x104, bytes.first(2));
    rig.on_worker([&] { CHECK(rig.device->config_written == 0); });
    REQUIRE(rig.driver.start(rig.queue));
    rig.driver.transport().write(0x104, bytes.first(2));
    rig.on_worker([&] {
        CHECK(rig.device->config_offset == 4);
        CHECK(rig.device->config_written == 0xAABB);
    });
}

namespace {

void acknowledge(Rig& rig) {
    for (const uint32_t status : {1U, 3U})
        rig.driver.write(mmio::kStatus, status);
}

void agree_on_features(Rig& rig) {
    rig.driver.write(mmio::kDriverFeaturesSel, 1);
    rig.driver.write(mmio::kDriverFeatures, 1);  // VERSION_1
    rig.driver.write(mmio::kStatus, 11);
}

}  // namespace

TEST_CASE("transport: a driver may write the configuration space before DRIVER_OK") {
    Rig rig;
    const uint64_t value = 0xCC;
    acknowledge(rig);
    agree_on_features(rig);
    rig.driver.transport().write(0x100, std::as_bytes(std::span(&value, 1)).first(1));
    rig.on_worker([&] { CHECK(rig.device->config_written == 0xCC); });
    // And a reset right behind it comes to its end.
    rig.driver.transport().write(0x100, std::as_bytes(std::span(&value, 1)).first(1));
    rig.driver.write(mmio::kStatus, 0);
    CHECK(wait_until([&] { return !rig.driver.transport().reset_pending(); }));
    CHECK(rig.driver.status() == 0);
}

TEST_CASE("transport: a driver that comes up never reads half of a changed configuration") {
    Rig rig;
    acknowledge(rig);
    rig.on_worker([&] {
        rig.device->config_value = 5;
        rig.driver.transport().device_config_changed();
    });
    CHECK(rig.driver.read64(mmio::kConfig) == 0x1122334455667788);
    SECTION("it is told once it runs") {
        agree_on_features(rig);
        rig.driver.configure(0, rig.queue.config()).go();
        rig.driver.worker().settle();
        CHECK(rig.driver.take_interrupt());
        CHECK(rig.driver.read(mmio::kInterruptStatus) == 3);
    }
    SECTION("or finds it after a reset") {
        rig.driver.write(mmio::kStatus, 0);
        CHECK(wait_until([&] { return !rig.driver.transport().reset_pending(); }));
    }
    CHECK(rig.driver.read64(mmio::kConfig) == 5);
}

TEST_CASE("transport: accesses of odd width or place do no harm") {
    Rig rig;
    const uint64_t ones = ~uint64_t{0};
    const auto bytes = std::as_bytes(std::span(&ones, 1));
    for (uint64_t offset = 0; offset < 0x100; ++offset) {
        for (const size_t size : {1, 2, 8})
            rig.driver.transport().write(offset, bytes.first(size));
        if (offset % 4 != 0) rig.driver.transport().write(offset, bytes.first(4));
    }
    CHECK(rig.driver.status() == 0);
    uint64_t read = 0;
    rig.driver.transport().read(1, std::as_writable_bytes(std::span(&read, 1)));
    CHECK(read == 0x2A00'0000'0274'7269U);  // "irt", version 2, device 42
}

TEST_CASE("transport: destroyed with requests in flight") {
    Rig rig;
    REQUIRE(rig.driver.start(rig.queue));
    rig.queue.chain().writable(4).submit();
    rig.driver.kick();
    CHECK(wait_until([&] { return rig.held() == 1; }));
}
