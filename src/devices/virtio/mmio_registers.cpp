#include "devices/virtio/mmio_registers.h"

#include <algorithm>
#include <array>

#include "devices/virtio/protocol.h"

namespace mote {

using Outcome = MmioRegisters::Outcome;
using Effect = MmioRegisters::Effect;

namespace {

constexpr uint32_t kVersionModern = 2;
constexpr uint32_t kAbsent = ~0U;  // a shared memory region that is not there (4.2.2.1)
constexpr uint32_t kFeatureWords = 2;

constexpr uint32_t kAcknowledged = virtio::kStatusAcknowledge;
constexpr uint32_t kHasDriver = kAcknowledged | virtio::kStatusDriver;
constexpr uint32_t kNegotiated = kHasDriver | virtio::kStatusFeaturesOk;
constexpr uint32_t kRunning = kNegotiated | virtio::kStatusDriverOk;
/// The one way up (3.1.1).
constexpr std::array<uint32_t, 5> kSteps{0, kAcknowledged, kHasDriver, kNegotiated, kRunning};

Outcome ignored(std::string_view text) {
    return {.effect = Effect::ignored, .value = 0, .text = text};
}

constexpr uint32_t low(uint64_t value) {
    return static_cast<uint32_t>(value);
}
constexpr uint32_t high(uint64_t value) {
    return static_cast<uint32_t>(value >> 32U);
}

}  // namespace

MmioRegisters::MmioRegisters(const MmioIdentity& identity,
                             std::span<std::byte, RegisterPage::kSize> page,
                             std::span<const std::byte> config)
    : identity_(identity), page_(page), queues_(identity.queue_sizes.size()) {
    show_constants();
    page_.set_config(config);
    reset();
}

void MmioRegisters::reset() {
    status_ = interrupts_ = 0;
    device_features_select_ = driver_features_select_ = queue_select_ = 0;
    driver_features_ = 0;
    config_withheld_ = false;
    for (size_t i = 0; i < queues_.size(); ++i)
        queues_[i] = QueueConfig{.max_size = identity_.queue_sizes[i]};
    show_features();
    show_queue();
    show_interrupts();
    show_status();
}

bool MmioRegisters::driver_ok() const {
    return (status_ & virtio::kStatusDriverOk) != 0;
}

bool MmioRegisters::features_ok() const {
    return (status_ & virtio::kStatusFeaturesOk) != 0;
}

void MmioRegisters::config_written(std::span<const std::byte> config) {
    if (!config_withheld_) page_.set_config(config);
}

QueueConfig* MmioRegisters::selected() {
    return queue_select_ < queues_.size() ? &queues_[queue_select_] : nullptr;
}

Outcome MmioRegisters::write(uint64_t offset, uint32_t value) {
    switch (offset) {
        case mmio::kDeviceFeaturesSel:
            device_features_select_ = value;
            show_features();
            return {};
        case mmio::kDriverFeaturesSel:
            driver_features_select_ = value;
            return {};
        case mmio::kDriverFeatures:
            return write_features(value);
        case mmio::kQueueSel:
            queue_select_ = value;
            show_queue();
            return {};
        case mmio::kQueueNotify:
            if (value >= queues_.size())
                return ignored("a notification of a queue that is not there");
            return {.effect = Effect::notify, .value = value, .text = {}};
        case mmio::kInterruptAck:
            // Bit 0 stays until reset, so that a used-buffer interrupt needs no exit.
            interrupts_ &= ~(value & mmio::kInterruptConfig);
            show_interrupts();
            return {};
        case mmio::kStatus:
            return write_status(value);
        case mmio::kShmSel:
            return {};
        case mmio::kQueueNum:
        case mmio::kQueueReady:
        case mmio::kQueueDescLow:
        case mmio::kQueueDescHigh:
        case mmio::kQueueDriverLow:
        case mmio::kQueueDriverHigh:
        case mmio::kQueueDeviceLow:
        case mmio::kQueueDeviceHigh:
            return write_queue(offset, value);
        default:
            return ignored("a write to a register that cannot be written");
    }
}

Outcome MmioRegisters::write_features(uint32_t value) {
    if (status_ != kHasDriver) return ignored("features written outside of their negotiation");
    if (driver_features_select_ >= kFeatureWords)
        return value == 0 ? Outcome{} : ignored("a feature beyond bit 63");
    const uint64_t shift = uint64_t{32} * driver_features_select_;
    driver_features_ &= ~(uint64_t{0xFFFF'FFFF} << shift);
    driver_features_ |= uint64_t{value} << shift;
    return {};
}

Outcome MmioRegisters::write_status(uint32_t value) {
    if (value == 0) return {.effect = Effect::reset, .value = 0, .text = {}};
    const uint32_t sticky = status_ & (virtio::kStatusNeedsReset | virtio::kStatusFailed);
    const uint32_t failed = value & virtio::kStatusFailed;
    const uint32_t current = status_ & ~sticky;
    const uint32_t wanted = value & ~(virtio::kStatusNeedsReset | virtio::kStatusFailed);
    if (wanted != current) {
        const auto* const step = std::ranges::find(kSteps, current);
        if (step == kSteps.end() || step + 1 == kSteps.end() || wanted != *(step + 1))
            return ignored("a status that does not follow the one before");
        // 3.1.1, step 5: what the device cannot agree to shows by FEATURES_OK staying away.
        const bool agreed = (driver_features_ & ~identity_.features) == 0 &&
                            (driver_features_ & virtio::kFeatureVersion1) != 0;
        if (wanted == kNegotiated && !agreed)
            return ignored("features that were not offered, or no VERSION_1");
        if (wanted == kRunning && sticky != 0)
            return ignored("DRIVER_OK on a device that failed or needs a reset");
    }
    status_ = wanted | sticky | failed;
    const bool starts = wanted == kRunning && current != kRunning;
    if (starts) {
        interrupts_ |= mmio::kInterruptUsed;
        show_interrupts();
    }
    show_status();
    return {.effect = starts ? Effect::driver_ok : Effect::none, .value = 0, .text = {}};
}

Outcome MmioRegisters::write_queue(uint64_t offset, uint32_t value) {
    QueueConfig* const queue = selected();
    if (queue == nullptr) return ignored("a write to a queue that is not there");
    // Frozen from DRIVER_OK on: what was validated is what runs.
    if (status_ != kNegotiated) return ignored("a queue configured outside of its phase");
    if (offset == mmio::kQueueReady) {
        queue->ready = (value & 1U) != 0;
        show_queue();
        return {};
    }
    if (queue->ready) return ignored("a queue changed while it is ready");
    if (offset == mmio::kQueueNum)
        queue->size = value;
    else
        write_address(*queue, offset, value);
    return {};
}

void MmioRegisters::write_address(QueueConfig& queue, uint64_t offset, uint32_t value) {
    GuestAddress& address = offset < mmio::kQueueDriverLow   ? queue.descriptors
                            : offset < mmio::kQueueDeviceLow ? queue.driver
                                                             : queue.device;
    const bool upper = offset % 8 != 0;
    const uint64_t shift = upper ? 32 : 0;
    address.value &= ~(uint64_t{0xFFFF'FFFF} << shift);
    address.value |= uint64_t{value} << shift;
}

// A driver compares ConfigGeneration before and after it reads (4.2.2.2); the interrupt that
// follows makes it read once more, whatever it saw in between.
void MmioRegisters::config_changed(std::span<const std::byte> config) {
    // A driver that is coming up gets no interrupt, so nothing would make it read once more.
    config_withheld_ = (status_ & virtio::kStatusDriver) != 0 && !driver_ok();
    if (config_withheld_) return;
    page_.set(mmio::kConfigGeneration, ++generation_);
    page_.set_config(config);
    page_.set(mmio::kConfigGeneration, ++generation_);
    if (!driver_ok()) return;
    interrupts_ |= mmio::kInterruptConfig;
    show_interrupts();
}

void MmioRegisters::needs_reset() {
    status_ |= virtio::kStatusNeedsReset;
    show_status();
    if (!driver_ok()) return;
    interrupts_ |= mmio::kInterruptConfig;
    show_interrupts();
}

void MmioRegisters::show_constants() {
    page_.set(mmio::kMagicValue, mmio::kMagic);
    page_.set(mmio::kVersion, kVersionModern);
    page_.set(mmio::kDeviceId, identity_.type);
    page_.set(mmio::kVendorId, 0);
    for (uint64_t offset = mmio::kShmLenLow; offset <= mmio::kShmBaseHigh; offset += 4)
        page_.set(offset, kAbsent);
}

void MmioRegisters::show_features() {
    const uint64_t features = identity_.features;
    const uint32_t word = device_features_select_ == 0   ? low(features)
                          : device_features_select_ == 1 ? high(features)
                                                         : 0;
    page_.set(mmio::kDeviceFeatures, word);
}

void MmioRegisters::show_queue() {
    const QueueConfig* const queue = selected();
    page_.set(mmio::kQueueNumMax, queue != nullptr ? queue->max_size : 0);
    page_.set(mmio::kQueueReady, queue != nullptr && queue->ready ? 1 : 0);
}

void MmioRegisters::show_status() {
    page_.set(mmio::kStatus, status_);
}
void MmioRegisters::show_interrupts() {
    page_.set(mmio::kInterruptStatus, interrupts_);
}

}  // namespace mote
