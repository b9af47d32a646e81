#include "devices/virtio/mmio_registers.h"

#include <array>
#include <cstring>

#include "devices/virtio/protocol.h"
#include "unit/catch.h"

using namespace mote;
using Effect = MmioRegisters::Effect;

namespace {

constexpr uint64_t kOffered =
    virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | (uint64_t{1} << 5U);
constexpr uint32_t kAll = virtio::kStatusAcknowledge | virtio::kStatusDriver |
                          virtio::kStatusFeaturesOk | virtio::kStatusDriverOk;

struct Fixture {
    static constexpr std::array<uint16_t, 2> kSizes{256, 64};
    static constexpr std::array<std::byte, 12> kConfig{std::byte{1}, std::byte{2}};

    alignas(4096) std::array<std::byte, 4096> page{};
    MmioRegisters registers{
        {.type = 2, .features = kOffered, .queue_sizes = kSizes}, page, kConfig};

    Effect write(uint64_t offset, uint32_t value) { return registers.write(offset, value).effect; }
    uint32_t read(uint64_t offset) {
        uint32_t value = 0;
        registers.page().read(offset, std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
    void write_features(uint64_t features) {
        write(mmio::kDriverFeaturesSel, 0);
        write(mmio::kDriverFeatures, static_cast<uint32_t>(features));
        write(mmio::kDriverFeaturesSel, 1);
        write(mmio::kDriverFeatures, static_cast<uint32_t>(features >> 32U));
    }
    void negotiate(uint64_t features = virtio::kFeatureVersion1) {
        write(mmio::kStatus, 1);
        write(mmio::kStatus, 3);
        write_features(features);
        write(mmio::kStatus, 11);
    }
};

}  // namespace

TEST_CASE("registers: what a driver finds first") {
    Fixture f;
    CHECK(f.read(mmio::kMagicValue) == 0x74726976);
    CHECK(f.read(mmio::kVersion) == 2);
    CHECK(f.read(mmio::kDeviceId) == 2);
    CHECK(f.read(mmio::kVendorId) == 0);
    CHECK(f.read(mmio::kStatus) == 0);
    CHECK(f.read(mmio::kInterruptStatus) == 0);
    CHECK(f.read(mmio::kConfig) == 0x201);
    CHECK(f.read(mmio::kConfigGeneration) == 0);
    for (uint64_t offset = 0xB0; offset <= 0xBC; offset += 4)
        CHECK(f.read(offset) == ~0U);
    // Any width, any offset, the page's end included.
    uint16_t half = 0;
    f.registers.page().read(2, std::as_writable_bytes(std::span(&half, 1)));
    CHECK(half == 0x7472);
    uint64_t wide = ~uint64_t{0};
    f.registers.page().read(4092, std::as_writable_bytes(std::span(&wide, 1)));
    CHECK(wide == 0);
    wide = ~uint64_t{0};
    f.registers.page().read(~uint64_t{0} - 2, std::as_writable_bytes(std::span(&wide, 1)));
    CHECK(wide == 0);
}

TEST_CASE("registers: features by halves, nothing beyond 64") {
    Fixture f;
    CHECK(f.read(mmio::kDeviceFeatures) == static_cast<uint32_t>(kOffered));
    f.write(mmio::kDeviceFeaturesSel, 1);
    CHECK(f.read(mmio::kDeviceFeatures) == 1);
    f.write(mmio::kDeviceFeaturesSel, 2);
    CHECK(f.read(mmio::kDeviceFeatures) == 0);
    f.write(mmio::kDeviceFeaturesSel, ~0U);
    CHECK(f.read(mmio::kDeviceFeatures) == 0);
}

TEST_CASE("registers: the way up, one step after the other") {
    Fixture f;
    f.negotiate(kOffered);
    CHECK(f.read(mmio::kStatus) == 11);
    CHECK(f.registers.driver_features() == kOffered);
    CHECK(f.write(mmio::kStatus, kAll) == Effect::driver_ok);
    CHECK(f.read(mmio::kStatus) == kAll);
    CHECK(f.read(mmio::kInterruptStatus) == 1);
    CHECK(f.write(mmio::kStatus, kAll) == Effect::none);  // the same again is nothing new
}

TEST_CASE("registers: steps that do not follow are ignored") {
    Fixture f;
    const uint32_t wrong = GENERATE(2U, 3U, 4U, 7U, 8U, 15U, 16U, 0x1U << 31U, 0xFFFFFFFFU);
    CHECK(f.write(mmio::kStatus, wrong) == Effect::ignored);
    CHECK(f.read(mmio::kStatus) == 0);
    f.write(mmio::kStatus, 1);
    CHECK(f.write(mmio::kStatus, 2) == Effect::ignored);  // takes a bit back
    CHECK(f.write(mmio::kStatus, 5) == Effect::ignored);
    CHECK(f.read(mmio::kStatus) == 1);
}

TEST_CASE("registers: FEATURES_OK stays away from features that cannot be") {
    Fixture f;
    SECTION("no VERSION_1") {
        f.negotiate(virtio::kFeatureEventIndex);
    }
    SECTION("not offered") {
        f.negotiate(virtio::kFeatureVersion1 | virtio::kFeatureIndirect);
    }
    SECTION("bit 63") {
        f.negotiate(virtio::kFeatureVersion1 | uint64_t{1} << 63U);
    }
    CHECK(f.read(mmio::kStatus) == 3);
    // The driver may try again with less.
    f.write_features(virtio::kFeatureVersion1);
    f.write(mmio::kStatus, 11);
    CHECK(f.read(mmio::kStatus) == 11);
}

TEST_CASE("registers: features are fixed once agreed on") {
    Fixture f;
    CHECK(f.write(mmio::kDriverFeatures, 1) == Effect::ignored);
    f.negotiate();
    CHECK(f.write(mmio::kDriverFeatures, 1) == Effect::ignored);
    CHECK(f.registers.driver_features() == virtio::kFeatureVersion1);
    f.registers.reset();
    f.write(mmio::kStatus, 1);
    f.write(mmio::kStatus, 3);
    f.write(mmio::kDriverFeaturesSel, 2);
    CHECK(f.write(mmio::kDriverFeatures, 0) == Effect::none);
    CHECK(f.write(mmio::kDriverFeatures, 1) == Effect::ignored);
}

TEST_CASE("registers: queues are configured between FEATURES_OK and DRIVER_OK") {
    Fixture f;
    f.write(mmio::kQueueSel, 1);
    CHECK(f.read(mmio::kQueueNumMax) == 64);
    CHECK(f.write(mmio::kQueueNum, 8) == Effect::ignored);
    f.negotiate();
    CHECK(f.write(mmio::kQueueNum, 8) == Effect::none);
    f.write(mmio::kQueueDescLow, 0x1000);
    f.write(mmio::kQueueDescHigh, 1);
    f.write(mmio::kQueueDriverLow, 0x2000);
    f.write(mmio::kQueueDriverHigh, 2);
    f.write(mmio::kQueueDeviceLow, 0x3000);
    f.write(mmio::kQueueDeviceHigh, 3);
    f.write(mmio::kQueueReady, 1);
    CHECK(f.read(mmio::kQueueReady) == 1);
    CHECK(f.write(mmio::kQueueNum, 16) == Effect::ignored);
    f.write(mmio::kQueueSel, 0);
    CHECK(f.read(mmio::kQueueNumMax) == 256);
    CHECK(f.read(mmio::kQueueReady) == 0);

    f.write(mmio::kStatus, kAll);
    f.write(mmio::kQueueSel, 1);
    CHECK(f.write(mmio::kQueueReady, 0) == Effect::ignored);
    CHECK(f.write(mmio::kQueueDescLow, 0) == Effect::ignored);
    const QueueConfig& queue = f.registers.queues()[1];
    CHECK(queue.size == 8);
    CHECK(queue.ready);
    CHECK(queue.descriptors.value == 0x1'0000'1000);
    CHECK(queue.driver.value == 0x2'0000'2000);
    CHECK(queue.device.value == 0x3'0000'3000);
}

TEST_CASE("registers: queues that are not there") {
    Fixture f;
    f.negotiate();
    const uint32_t index = GENERATE(2U, 0xFFFFU, 0x10000U, ~0U);
    f.write(mmio::kQueueSel, index);
    CHECK(f.read(mmio::kQueueNumMax) == 0);
    CHECK(f.read(mmio::kQueueReady) == 0);
    CHECK(f.write(mmio::kQueueNum, 8) == Effect::ignored);
    CHECK(f.write(mmio::kQueueNotify, index) == Effect::ignored);
}

TEST_CASE("registers: interrupts: bit 0 stays from DRIVER_OK to reset, bit 1 is acknowledged") {
    Fixture f;
    f.negotiate();
    f.write(mmio::kStatus, kAll);
    f.registers.config_changed(Fixture::kConfig);
    CHECK(f.read(mmio::kInterruptStatus) == 3);
    CHECK(f.read(mmio::kConfigGeneration) == 2);
    f.write(mmio::kInterruptAck, 1);
    CHECK(f.read(mmio::kInterruptStatus) == 3);
    f.write(mmio::kInterruptAck, 3);
    CHECK(f.read(mmio::kInterruptStatus) == 1);
    f.registers.needs_reset();
    CHECK(f.read(mmio::kInterruptStatus) == 3);
    CHECK(f.read(mmio::kStatus) == (kAll | 64));
    f.registers.reset();
    CHECK(f.read(mmio::kInterruptStatus) == 0);
    CHECK(f.read(mmio::kStatus) == 0);
}

TEST_CASE("registers: a broken device is no way to DRIVER_OK, and only reset leads out") {
    Fixture f;
    f.negotiate();
    f.registers.needs_reset();
    CHECK(f.write(mmio::kStatus, kAll) == Effect::ignored);
    CHECK(f.write(mmio::kStatus, 11) == Effect::none);
    CHECK(f.read(mmio::kStatus) == (11 | 64));
    f.write(mmio::kStatus, 11 | 128);
    CHECK(f.read(mmio::kStatus) == (11 | 64 | 128));
    CHECK(f.write(mmio::kStatus, 0) == Effect::reset);
    CHECK(f.read(mmio::kStatus) == (11 | 64 | 128));  // until the transport says so
}

TEST_CASE("registers: what cannot be written stays") {
    Fixture f;
    std::array<std::byte, 4096> before = f.page;
    for (const uint64_t offset : {0x0, 0x4, 0x8, 0xC, 0x10, 0x34, 0x60, 0xB0, 0xB4, 0xFC, 0x2C})
        CHECK(f.write(offset, 0x12345678) == Effect::ignored);
    CHECK(std::memcmp(before.data(), f.page.data(), before.size()) == 0);
    CHECK(f.write(mmio::kShmSel, 3) == Effect::none);
    CHECK(f.read(mmio::kShmLenLow) == ~0U);
}
