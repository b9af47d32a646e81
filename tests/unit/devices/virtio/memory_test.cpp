#include "devices/virtio/memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "support/fake_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint64_t kBase = uint64_t{512} << 30U;
constexpr uint64_t kBlock = uint64_t{2} << 20U;  // no huge page lies in two
constexpr uint64_t kSlotBlocks = 4;
constexpr uint64_t kSlots = 8;
constexpr uint64_t kBlocks = kSlots * kSlotBlocks;
constexpr uint64_t kRing = kFeatureEventIndex | kFeatureIndirect;

struct Sizes {
    uint64_t block = kBlock;
    uint64_t slot = kSlotBlocks * kBlock;
    uint64_t slots = kSlots;
    uint64_t requested = kBlocks * kBlock;
};

/// The slots that the CPUs see.
class FakeSlots final : public MemorySlots {
  public:
    struct State {
        std::vector<bool> shown;
        std::optional<uint64_t> fails;  ///< the slot that cannot be shown
        bool hiding_fails = false;
        bool twice = false;  ///< shown or hidden what is so already
        unsigned changes = 0;
        std::function<void(uint64_t index)> before_hide;
    };
    FakeSlots(std::shared_ptr<State> state, uint64_t count) : state_(std::move(state)) {
        state_->shown.resize(count);
    }
    Result<> show(uint64_t index) override {
        if (state_->fails == index) return fail("no slot {}", index);
        if (state_->shown.at(index)) state_->twice = true;
        state_->shown.at(index) = true;
        ++state_->changes;
        return {};
    }
    Result<> hide(uint64_t index) override {
        if (state_->before_hide) state_->before_hide(index);
        if (state_->hiding_fails) return fail("slot {} stays", index);
        if (!state_->shown.at(index)) state_->twice = true;
        state_->shown.at(index) = false;
        ++state_->changes;
        return {};
    }

  private:
    std::shared_ptr<State> state_;
};

struct Setup {
    FakeRam ram;
    std::shared_ptr<FakeSlots::State> slots = std::make_shared<FakeSlots::State>();
    MemoryDevice* device = nullptr;
    FakeDriver driver;
    FakeQueue queue{ram, 64};

    explicit Setup(const Sizes& sizes = {}, uint64_t features = kMemoryUnpluggedInaccessible)
        : ram(RegionConfig{
              .base = {kBase}, .size = sizes.slot * sizes.slots, .block_size = sizes.block}),
          driver(ram, make(sizes)) {
        started = driver.start(queue, kRing | features);
    }

    std::unique_ptr<VirtioDevice> make(const Sizes& sizes) {
        auto made = MemoryDevice::create(
            {.slot_size = sizes.slot, .usable_unit = sizes.slot, .requested_size = sizes.requested},
            ram.memory(), std::make_unique<FakeSlots>(slots, sizes.slots));
        device = made.get();
        return made;
    }

    AddedChain add(uint16_t type, uint64_t address, uint16_t blocks) {
        const MemoryRequest request{
            .type = type, .padding = {}, .addr = address, .blocks = blocks, .padding2 = {}};
        return queue.chain()
            .readable(std::as_bytes(std::span(&request, 1)))
            .writable(sizeof(MemoryResponse), 0xEE)
            .add();
    }
    void send() {
        queue.publish();
        driver.kick();
    }
    MemoryResponse wait(const AddedChain& sent) {
        const auto used = FakeDriver::wait_used(queue);
        REQUIRE(used.has_value());
        CHECK(used->head == sent.head);
        CHECK(used->written == sizeof(MemoryResponse));
        return ram.memory().load<MemoryResponse>(sent.buffers.back()).value();
    }
    MemoryResponse request_at(uint16_t type, uint64_t address, uint16_t blocks) {
        const AddedChain sent = add(type, address, blocks);
        send();
        return wait(sent);
    }
    uint16_t request(uint16_t type, uint64_t block, uint16_t blocks) {
        return request_at(type, kBase + block * kBlock, blocks).type;
    }
    uint16_t state(uint64_t block, uint16_t blocks) {
        const MemoryResponse response = request_at(kMemoryState, kBase + block * kBlock, blocks);
        REQUIRE(response.type == kMemoryAck);
        return response.state;
    }
    Result<> update(uint64_t size) {
        Result<> result;
        driver.worker().loop().post_and_wait([&] {
            result = device->update(size);
            if (result) driver.transport().device_config_changed();
        });
        return result;
    }
    uint64_t config(size_t offset) { return driver.read64(mmio::kConfig + offset); }
    uint64_t plugged() { return config(offsetof(MemoryConfigSpace, plugged_size)); }
    uint64_t usable() { return config(offsetof(MemoryConfigSpace, usable_region_size)); }
    std::vector<uint64_t> shown() {
        driver.worker().settle();
        CHECK_FALSE(slots->twice);
        std::vector<uint64_t> list;
        for (uint64_t i = 0; i < slots->shown.size(); ++i)
            if (slots->shown[i]) list.push_back(i);
        return list;
    }
    bool reached(uint64_t block, uint64_t blocks = 1) {
        return ram.memory().contains({kBase + block * kBlock}, blocks * kBlock);
    }
    std::span<std::byte> host(uint64_t block, uint64_t blocks) {
        return ram.memory().hotplug_region()->mapping.bytes().subspan(block * kBlock,
                                                                      blocks * kBlock);
    }
    void fill(uint64_t block, uint64_t blocks) {
        std::ranges::fill(host(block, blocks), std::byte{0x55});
    }
    /// Pages of these blocks that the host has memory for.
    size_t resident(uint64_t block, uint64_t blocks) {
        const auto bytes = host(block, blocks);
        std::vector<unsigned char> pages(bytes.size() / 4096);
        if (::mincore(bytes.data(), bytes.size(), pages.data()) != 0) return SIZE_MAX;
        return static_cast<size_t>(
            std::ranges::count_if(pages, [](unsigned char page) { return (page & 1U) != 0; }));
    }

    bool started = false;
};

}  // namespace

TEST_CASE("memory: tells where it lies and how much it wants") {
    Setup setup({.requested = 5 * kBlock});
    REQUIRE(setup.started);
    CHECK(setup.driver.read(mmio::kDeviceId) == 24);
    CHECK((setup.driver.offered() & kMemoryUnpluggedInaccessible) != 0);
    CHECK(setup.config(0) == kBlock);
    CHECK(setup.config(16) == kBase);
    CHECK(setup.config(24) == kBlocks * kBlock);
    CHECK(setup.config(32) == 2 * kSlotBlocks * kBlock);
    CHECK(setup.config(40) == 0);
    CHECK(setup.config(48) == 5 * kBlock);
}

TEST_CASE("memory: blocks come and go, and devices reach those that are there") {
    Setup setup;
    CHECK(setup.state(0, kBlocks) == kMemoryUnplugged);
    CHECK_FALSE(setup.reached(0));
    CHECK(setup.request(kMemoryPlug, 1, 3) == kMemoryAck);
    CHECK(setup.plugged() == 3 * kBlock);
    CHECK(setup.state(1, 3) == kMemoryPlugged);
    CHECK(setup.state(0, 1) == kMemoryUnplugged);
    CHECK(setup.state(0, 2) == kMemoryMixed);
    CHECK(setup.state(3, 2) == kMemoryMixed);
    CHECK(setup.reached(1, 3));
    CHECK_FALSE(setup.reached(0, 2));
    CHECK_FALSE(setup.reached(3, 2));
    CHECK(setup.request(kMemoryUnplug, 2, 1) == kMemoryAck);
    CHECK(setup.plugged() == 2 * kBlock);
    CHECK(setup.state(1, 3) == kMemoryMixed);
    CHECK(setup.reached(1));
    CHECK_FALSE(setup.reached(2));
    CHECK(setup.reached(3));
    CHECK(setup.request_at(kMemoryUnplugAll, ~uint64_t{0}, 0).type == kMemoryAck);
    CHECK(setup.plugged() == 0);
    CHECK_FALSE(setup.reached(1));
    // plugged_size changes without an interrupt for it (5.15.4.2).
    CHECK((setup.driver.read(mmio::kInterruptStatus) & mmio::kInterruptConfig) == 0);
    CHECK_FALSE(setup.driver.needs_reset());
}

TEST_CASE("memory: a request that is wrong is an error and changes nothing") {
    Setup setup({.requested = 8 * kBlock});  // of 8 usable ones
    REQUIRE(setup.request(kMemoryPlug, 2, 2) == kMemoryAck);
    const auto refused = [&](uint16_t type, uint64_t address, uint16_t blocks) {
        CAPTURE(type, address, blocks);
        CHECK(setup.request_at(type, address, blocks).type == kMemoryError);
        CHECK(setup.plugged() == 2 * kBlock);
    };
    for (const uint16_t type : {kMemoryPlug, kMemoryUnplug, kMemoryState}) {
        refused(type, kBase, 0);
        refused(type, kBase + 1, 1);
        refused(type, kBase + kBlock / 2, 1);
        refused(type, kBase - kBlock, 1);
        refused(type, kBase - kBlock, 2);
        refused(type, 0, 1);
        refused(type, kBase, 9);
        refused(type, kBase + 8 * kBlock, 1);  // in the region, and not usable
        refused(type, kBase + 7 * kBlock, 2);
        refused(type, kBase + kBlocks * kBlock, 1);
        refused(type, kBase, 0xFFFF);
        refused(type, ~uint64_t{0} - kBlock + 1, 1);
        refused(type, ~uint64_t{0} - kBlock + 1, 0xFFFF);
    }
    refused(kMemoryPlug, kBase + 2 * kBlock, 1);
    refused(kMemoryPlug, kBase + 3 * kBlock, 2);
    refused(kMemoryPlug, kBase, 8);
    refused(kMemoryUnplug, kBase, 1);
    refused(kMemoryUnplug, kBase + kBlock, 2);
    refused(4, kBase, 1);
    refused(0xFFFF, kBase, 1);
    CHECK(setup.state(2, 2) == kMemoryPlugged);
    CHECK_FALSE(setup.driver.needs_reset());
}

TEST_CASE("memory: no more is plugged than requested") {
    Setup setup({.requested = 5 * kBlock});
    CHECK(setup.request(kMemoryPlug, 0, 6) == kMemoryNack);
    CHECK(setup.request(kMemoryPlug, 0, 5) == kMemoryAck);
    CHECK(setup.request(kMemoryPlug, 5, 1) == kMemoryNack);
    CHECK(setup.plugged() == 5 * kBlock);
    CHECK(setup.request(kMemoryUnplug, 0, 1) == kMemoryAck);
    CHECK(setup.request(kMemoryPlug, 7, 1) == kMemoryAck);
}

TEST_CASE("memory: the host asks for more or less while the guest runs") {
    Setup setup({.requested = 0});
    CHECK(setup.usable() == 0);
    CHECK(setup.request(kMemoryPlug, 0, 1) == kMemoryError);
    REQUIRE(setup.update(6 * kBlock));
    CHECK(setup.config(48) == 6 * kBlock);
    CHECK(setup.usable() == 8 * kBlock);
    CHECK((setup.driver.read(mmio::kInterruptStatus) & mmio::kInterruptConfig) != 0);
    CHECK(setup.request(kMemoryPlug, 0, 6) == kMemoryAck);
    REQUIRE(setup.update(kBlock));
    // What is usable shrinks when all is unplugged, and not before (5.15.4.2).
    CHECK(setup.usable() == 8 * kBlock);
    CHECK(setup.request(kMemoryPlug, 6, 1) == kMemoryNack);
    CHECK(setup.request(kMemoryUnplug, 1, 5) == kMemoryAck);
    CHECK(setup.request_at(kMemoryUnplugAll, 0, 0).type == kMemoryAck);
    CHECK(setup.usable() == 4 * kBlock);
    REQUIRE(setup.update(kBlocks * kBlock));
    CHECK(setup.usable() == kBlocks * kBlock);
    for (const uint64_t wrong : {kBlock / 2, (kBlocks + 1) * kBlock, ~uint64_t{0}})
        CHECK_FALSE(setup.update(wrong));
    CHECK(setup.config(48) == kBlocks * kBlock);
    MemoryDevice::Status status{};
    setup.driver.worker().loop().post_and_wait([&] { status = setup.device->status(); });
    CHECK(status.plugged_size == 0);
    CHECK(status.requested_size == kBlocks * kBlock);
    REQUIRE(setup.driver.reset());
    CHECK(setup.update(0).error().message == "memory: the guest's driver is not active");
}

TEST_CASE("memory: the CPUs see a slot while a block of it is plugged") {
    Setup setup;
    using List = std::vector<uint64_t>;
    CHECK(setup.shown().empty());
    CHECK(setup.request(kMemoryPlug, 3, 6) == kMemoryAck);
    CHECK(setup.shown() == List{0, 1, 2});
    CHECK(setup.request(kMemoryPlug, 0, 3) == kMemoryAck);
    CHECK(setup.slots->changes == 3);
    CHECK(setup.request(kMemoryUnplug, 4, 3) == kMemoryAck);
    CHECK(setup.shown() == List{0, 1, 2});
    CHECK(setup.request(kMemoryUnplug, 7, 1) == kMemoryAck);
    CHECK(setup.shown() == List{0, 2});
    CHECK(setup.request(kMemoryPlug, 28, 4) == kMemoryAck);
    CHECK(setup.shown() == List{0, 2, 7});
    CHECK(setup.request_at(kMemoryUnplugAll, 0, 0).type == kMemoryAck);
    CHECK(setup.shown().empty());
}

TEST_CASE("memory: what is unplugged is the host's when the answer comes") {
    Setup setup;
    REQUIRE(setup.request(kMemoryPlug, 0, 12) == kMemoryAck);
    setup.fill(0, 12);
    CHECK(setup.request(kMemoryUnplug, 5, 1) == kMemoryAck);
    CHECK(setup.resident(5, 1) == 0);
    CHECK(setup.resident(0, 5) == 5 * kBlock / 4096);
    CHECK(setup.resident(6, 6) == 6 * kBlock / 4096);
    // The CPUs reach a whole slot: what they wrote beside its blocks goes with the last one.
    setup.fill(4, 2);
    CHECK(setup.request(kMemoryUnplug, 6, 2) == kMemoryAck);
    CHECK(setup.resident(5, 3) == kBlock / 4096);
    CHECK(setup.request(kMemoryUnplug, 4, 1) == kMemoryAck);
    CHECK(setup.resident(4, 4) == 0);
    CHECK(setup.resident(8, 4) == 4 * kBlock / 4096);
    // No device, then no CPU, then no memory.
    bool in_order = true;
    setup.slots->before_hide = [&](uint64_t index) {
        in_order = in_order && !setup.reached(index * kSlotBlocks) &&
                   setup.resident(index * kSlotBlocks, kSlotBlocks) != 0;
    };
    CHECK(setup.request_at(kMemoryUnplugAll, 0, 0).type == kMemoryAck);
    CHECK(in_order);
    CHECK(setup.resident(0, kBlocks) == 0);
}

TEST_CASE("memory: a slot that the host cannot give makes it busy, and nothing changes") {
    Setup setup;
    REQUIRE(setup.request(kMemoryPlug, 2, 1) == kMemoryAck);
    setup.fill(2, 1);
    setup.slots->fails = 3;
    CHECK(setup.request(kMemoryPlug, 3, 12) == kMemoryBusy);
    CHECK(setup.plugged() == kBlock);
    CHECK(setup.state(3, 12) == kMemoryUnplugged);
    CHECK(setup.shown() == std::vector<uint64_t>{0});
    CHECK(setup.resident(2, 1) == kBlock / 4096);
    setup.slots->fails = 0;
    CHECK(setup.request(kMemoryPlug, 12, 4) == kMemoryAck);
    setup.slots->fails = 1;
    CHECK(setup.request(kMemoryPlug, 4, 1) == kMemoryBusy);
    setup.slots->fails.reset();
    CHECK(setup.request(kMemoryPlug, 3, 9) == kMemoryAck);
    CHECK(setup.shown() == std::vector<uint64_t>{0, 1, 2, 3});
}

TEST_CASE("memory: a slot that cannot be hidden is one more that is shown") {
    Setup setup;
    REQUIRE(setup.request(kMemoryPlug, 0, 8) == kMemoryAck);
    setup.fill(0, 8);
    setup.slots->hiding_fails = true;
    CHECK(setup.request_at(kMemoryUnplugAll, 0, 0).type == kMemoryAck);
    CHECK(setup.plugged() == 0);
    CHECK(setup.resident(0, 8) == 0);
    setup.slots->hiding_fails = false;
    CHECK(setup.request(kMemoryPlug, 0, 4) == kMemoryAck);
    CHECK(setup.request_at(kMemoryUnplugAll, 0, 0).type == kMemoryAck);
    CHECK(setup.shown().empty());
}

TEST_CASE("memory: requests that wait are answered one after the other") {
    Setup setup;
    std::vector<AddedChain> sent;
    for (uint16_t i = 0; i < 8; ++i) {
        sent.push_back(setup.add(kMemoryPlug, kBase + i * 4 * kBlock, 4));
        sent.push_back(setup.add(kMemoryUnplug, kBase + i * 4 * kBlock + kBlock, 3));
        sent.push_back(setup.add(kMemoryState, kBase + i * 4 * kBlock, 4));
    }
    setup.send();
    for (size_t i = 0; i < sent.size(); ++i) {
        const MemoryResponse response = setup.wait(sent[i]);
        CHECK(response.type == kMemoryAck);
        CHECK(response.state == (i % 3 == 2 ? kMemoryMixed : 0));
    }
    CHECK(setup.plugged() == 8 * kBlock);
}

TEST_CASE("memory: what is large goes step by step, through pauses and a reset") {
    constexpr uint64_t kMiB = uint64_t{1} << 20U;
    Setup setup({.block = 2 * kMiB, .slot = 128 * kMiB, .slots = 16, .requested = 2048 * kMiB});
    const auto rounds = GENERATE(1U, 5U);
    const AddedChain plug = setup.add(kMemoryPlug, kBase, 1024);
    const AddedChain unplug = setup.add(kMemoryUnplug, kBase + 2 * kMiB, 1023);
    setup.send();
    for (unsigned round = 0; round < rounds; ++round) {
        REQUIRE(setup.driver.transport().pause(std::chrono::seconds(10)));
        setup.driver.transport().resume();
    }
    CHECK(setup.wait(plug).type == kMemoryAck);
    CHECK(setup.wait(unplug).type == kMemoryAck);
    CHECK(setup.plugged() == 2 * kMiB);
    CHECK(setup.shown() == std::vector<uint64_t>{0});
    setup.add(kMemoryPlug, kBase + 2 * kMiB, 1023);
    setup.send();
    REQUIRE(setup.driver.reset());
    const uint64_t plugged = setup.plugged();
    CHECK((plugged == 2 * kMiB || plugged == 2048 * kMiB));
    // A reset leaves the blocks as they are (5.15.5.2), and the next driver finds them.
    FakeQueue fresh(setup.ram, 64);
    REQUIRE(setup.driver.start(fresh, kRing | kMemoryUnpluggedInaccessible));
    CHECK(setup.plugged() == plugged);
    CHECK(setup.ram.memory().contains({kBase}, plugged));
}

TEST_CASE("memory: a driver that may read what is not plugged gets no memory") {
    Setup setup({}, 0);
    REQUIRE(wait_until([&] { return setup.driver.needs_reset(); }));
    FakeQueue fresh(setup.ram, 8);
    CHECK(setup.driver.start(fresh, kRing | kMemoryUnpluggedInaccessible));
}

TEST_CASE("memory: a request too short, or without room for its answer, costs the device") {
    Setup setup;
    const MemoryRequest all{
        .type = kMemoryUnplugAll, .padding = {}, .addr = 0, .blocks = 0, .padding2 = {}};
    const auto bytes = std::as_bytes(std::span(&all, 1));
    SECTION("short") {
        setup.queue.chain().readable(bytes.first(23)).writable(10).submit();
    }
    SECTION("no room") {
        setup.queue.chain().readable(bytes).writable(9).submit();
    }
    SECTION("nothing to read") {
        setup.queue.chain().writable(10).submit();
    }
    setup.driver.kick();
    REQUIRE(wait_until([&] { return setup.driver.needs_reset(); }));
    CHECK(setup.queue.used_index() == 0);
}

TEST_CASE("memory: buffers in plugged blocks are served, in others they cost the device") {
    Setup setup;
    REQUIRE(setup.request(kMemoryPlug, 3, 1) == kMemoryAck);
    const MemoryRequest ask{
        .type = kMemoryState, .padding = {}, .addr = kBase, .blocks = 4, .padding2 = {}};
    const auto send_to = [&](uint64_t address) {
        setup.queue.chain()
            .readable(std::as_bytes(std::span(&ask, 1)))
            .raw({address}, sizeof(MemoryResponse), kDescriptorWrite)
            .submit();
        setup.driver.kick();
    };
    const uint64_t end = kBase + 4 * kBlock;
    send_to(end - sizeof(MemoryResponse));
    REQUIRE(FakeDriver::wait_used(setup.queue).has_value());
    CHECK(setup.ram.memory().load<MemoryResponse>({end - sizeof(MemoryResponse)})->state ==
          kMemoryMixed);
    send_to(end - sizeof(MemoryResponse) + 1);
    REQUIRE(wait_until([&] { return setup.driver.needs_reset(); }));
    CHECK(setup.resident(4, 1) == 0);
}

TEST_CASE("memory: a queue whose rings are unplugged harms the guest alone") {
    Setup setup;
    REQUIRE(setup.request(kMemoryPlug, 0, 4) == kMemoryAck);
    REQUIRE(setup.driver.negotiate(kRing | kMemoryUnpluggedInaccessible));
    const GuestMemory& memory = setup.ram.memory();
    const QueueConfig rings{.max_size = 256,
                            .size = 8,
                            .ready = true,
                            .descriptors = {kBase},
                            .driver = {kBase + 0x1000},
                            .device = {kBase + 0x2000}};
    setup.driver.configure(0, rings).go();
    const MemoryRequest all{
        .type = kMemoryUnplugAll, .padding = {}, .addr = 0, .blocks = 0, .padding2 = {}};
    const GuestAddress request = setup.ram.place(std::as_bytes(std::span(&all, 1)));
    const GuestAddress response = setup.ram.allocate(sizeof(MemoryResponse));
    memory.store(
        {kBase},
        Descriptor{
            .address = request.value, .length = sizeof all, .flags = kDescriptorNext, .next = 1});
    memory.store({kBase + sizeof(Descriptor)}, Descriptor{.address = response.value,
                                                          .length = sizeof(MemoryResponse),
                                                          .flags = kDescriptorWrite,
                                                          .next = 0});
    memory.ring_index({kBase + 0x1000 + kRingIndex})->store(1, std::memory_order_release);
    setup.driver.kick();
    REQUIRE(wait_until([&] { return setup.plugged() == 0; }));
    REQUIRE(setup.driver.reset());
    CHECK_FALSE(memory.contains({kBase}, 1));
    FakeQueue fresh(setup.ram, 8);
    CHECK(setup.driver.start(fresh, kRing | kMemoryUnpluggedInaccessible));
}
