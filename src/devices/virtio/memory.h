// MemoryDevice: RAM that comes and goes while the guest runs (virtio-mem; virtio 1.2, 5.15).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "devices/virtio/device.h"
#include "devices/virtio/memory_protocol.h"

namespace mote {

/// How the guest's CPUs come to reach the region: slot by slot.
class MemorySlots {
  public:
    MemorySlots() = default;
    MemorySlots(const MemorySlots&) = delete;
    MemorySlots& operator=(const MemorySlots&) = delete;
    virtual ~MemorySlots() = default;

    /// Slot `index` is shown to the CPUs, or taken away from them. Errors: the host's; nothing has
    /// changed then.
    virtual Result<> show(uint64_t index) = 0;
    virtual Result<> hide(uint64_t index) = 0;
};

/// All in bytes.
struct MemoryDeviceConfig {
    uint64_t slot_size = 0;       ///< a multiple of the block size; the region is one of it
    uint64_t usable_unit = 0;     ///< what may be used grows in units of it, a multiple of blocks
    uint64_t requested_size = 0;  ///< that the guest is asked to plug; a multiple of blocks
};

/// The guest's driver plugs and unplugs blocks of GuestMemory::hotplug_region(), until there is as
/// much as is requested. A slot is shown to the CPUs while a block in it is plugged. What is
/// unplugged is discarded, and then the request is answered.
///
/// However long a request takes (a slot costs the host's kernel milliseconds), each turn does one
/// step of it: a slot, or a bounded number of bytes.
///
/// update() and status() are called on the worker's thread.
class MemoryDevice final : public VirtioDevice {
  public:
    /// Requests answered before the worker's other devices have their turn.
    static constexpr unsigned kMaxRequestsPerTurn = 16;
    /// Bytes discarded in one step.
    static constexpr uint64_t kMaxBytesPerStep = uint64_t{64} << 20U;

    struct Status {
        uint64_t plugged_size;
        uint64_t requested_size;
    };

    /// `memory` has a region of blocks and outlives the device.
    static std::unique_ptr<MemoryDevice> create(const MemoryDeviceConfig& config,
                                                const GuestMemory& memory,
                                                std::unique_ptr<MemorySlots> slots);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeMemory; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }

    /// Errors: the driver did not accept kMemoryUnpluggedInaccessible.
    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override;
    /// Leaves all blocks as they are (5.15.5.2).
    void reset() override;

    /// Asks the guest to have `size` bytes plugged. The transport then tells the driver. Errors: no
    /// driver is active; no multiple of the block size, or more than the region.
    Result<> update(uint64_t size);
    [[nodiscard]] Status status() const {
        return {.plugged_size = space_.plugged_size, .requested_size = space_.requested_size};
    }

  private:
    static constexpr std::array<uint16_t, 1> kQueueSizes{256};

    /// A part of the region, in bytes from its start.
    struct Range {
        uint64_t begin;
        uint64_t end;
        [[nodiscard]] uint64_t size() const { return end - begin; }
    };
    /// A request that takes several steps; it is answered when `left` is empty.
    struct Work {
        Chain chain;
        bool plug;
        Range whole;
        Range left;
        uint16_t answer = virtio::kMemoryAck;
        bool slot_was_shown = false;  ///< unplugging: the slot at `left`
    };

    MemoryDevice(const MemoryDeviceConfig& config, const GuestMemory& memory,
                 std::unique_ptr<MemorySlots> slots);
    [[nodiscard]] uint64_t usable_for(uint64_t requested) const;

    void handle(Chain chain);
    void plug(Chain chain, const Range& range);
    void unplug(Chain chain, Range range);
    void unplug_all(Chain chain);
    [[nodiscard]] std::optional<Range> range_of(const virtio::MemoryRequest& request) const;
    [[nodiscard]] uint16_t state_of(const Range& range) const;
    void answer(Chain chain, uint16_t type, uint16_t state = 0);
    void publish();

    [[nodiscard]] Range slot_at(uint64_t offset) const;
    [[nodiscard]] bool is_empty(const Range& range) const;
    void set_plugged(const Range& range, bool plugged);
    /// One step of `work_`; true once it is done and answered.
    bool step();
    void plug_step(Work& work);
    void unplug_step(Work& work);
    void discard(const Range& range);
    void finish_for_drain();
    void warn(const Error& error);

    const std::string name_ = "memory";
    const GuestMemory& memory_;
    const GuestMemory::Region& region_;
    PluggedBlocks& blocks_;
    const std::unique_ptr<MemorySlots> slots_;
    const uint64_t slot_size_;
    const uint64_t usable_unit_;
    virtio::MemoryConfigSpace space_{};
    std::vector<bool> shown_;  ///< by slot
    LogLimiter log_limiter_;

    Queue* queue_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    std::optional<Work> work_;
    bool draining_ = false;
    std::function<void()> on_drained_;
};

}  // namespace mote
