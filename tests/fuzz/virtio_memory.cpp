// Fuzzes a memory device behind its queue: whatever the ring and the requests are, no crash and no
// hang; what it says to be plugged is what devices reach; a slot is shown where a block of it is
// plugged; no more is plugged than was requested last, or had been plugged by then.
//
// Input: a byte whose bits 0 to 6 are a mask of slots that fail; then steps of 16 bytes: what,
// index, two numbers of 16 bits, one of 16 unused, and one of 64. See step().

#include "devices/virtio/memory.h"
#include "support/queue_set.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;
constexpr uint64_t kBase = uint64_t{1} << 30U;
constexpr uint64_t kBlock = 4096;
constexpr uint64_t kSlot = 4 * kBlock;
constexpr uint64_t kSlots = 8;
constexpr uint64_t kRegion = kSlots * kSlot;
constexpr GuestAddress kDescriptors{0x1000};  // QueueSet's
constexpr GuestAddress kAvailable{0x1400};
constexpr GuestAddress kRequest{0x2000};
constexpr GuestAddress kResponse{0x2100};

/// What a guest's CPUs see. Slots of `failing` cannot be shown, and the last one not be hidden.
struct Shown {
    uint8_t failing = 0;
    bool shown[kSlots] = {};
};

class Slots final : public MemorySlots {
  public:
    explicit Slots(Shown& state) : state_(state) {}
    Result<> show(uint64_t index) override {
        require(index < kSlots && !state_.shown[index], "a slot is shown once");
        if (index < 7 && (state_.failing >> index & 1U) != 0) return fail("no slot");
        state_.shown[index] = true;
        return {};
    }
    Result<> hide(uint64_t index) override {
        require(index < kSlots && state_.shown[index], "a slot is hidden that was shown");
        if (index == kSlots - 1) return fail("it stays");
        state_.shown[index] = false;
        return {};
    }

  private:
    Shown& state_;
};

class Guest {
  public:
    explicit Guest(uint8_t failing)
        : memory_(create_memory()),
          shown_{.failing = failing},
          device_(MemoryDevice::create(
              {.slot_size = kSlot, .usable_unit = kSlot, .requested_size = kRegion / 2}, memory_,
              std::make_unique<Slots>(shown_))) {
        queue_.activate(*device_, *loop_);
    }
    ~Guest() { queue_.reset(*device_); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        const unsigned what = step.what % 8;
        if (!queue_.driver_step(step, what, *device_)) special_step(step, what);
        check();
    }

  private:
    void special_step(const Step& step, unsigned what) {
        switch (what) {
            case 4:
                queue_.reset(*device_);
                queue_.activate(*device_, *loop_);
                break;
            case 5:
                device_->on_queue(0);  // so that there may be something under way
                queue_.rest(*device_, loop_);
                break;
            case 6:
                update(step.value);
                break;
            case 7:  // a whole request: type, blocks; index is the first block
                request(static_cast<uint16_t>(step.first % 6), step.queue, step.second % 64);
                break;
        }
    }

    static GuestMemory create_memory() {
        const std::vector<RegionConfig> regions{
            {.base = {0}, .size = kRam}, {.base = {kBase}, .size = kRegion, .block_size = kBlock}};
        return GuestMemory::create(regions).value();
    }

    void request(uint16_t type, uint8_t block, uint16_t blocks) {
        const virtio::MemoryRequest request{.type = type,
                                            .padding = {},
                                            .addr = kBase + block * kBlock,
                                            .blocks = blocks,
                                            .padding2 = {}};
        memory_.store(kRequest, request);
        memory_.store(kDescriptors, virtio::Descriptor{.address = kRequest.value,
                                                       .length = sizeof request,
                                                       .flags = virtio::kDescriptorNext,
                                                       .next = 1});
        memory_.store({kDescriptors.value + sizeof(virtio::Descriptor)},
                      virtio::Descriptor{.address = kResponse.value,
                                         .length = sizeof(virtio::MemoryResponse),
                                         .flags = virtio::kDescriptorWrite,
                                         .next = 0});
        const GuestAddress index{kAvailable.value + virtio::kRingIndex};
        const uint16_t next = *memory_.load<le16>(index);
        memory_.store(
            {kAvailable.value + virtio::kRingEntries + next % QueueSet::kSize * uint64_t{2}},
            le16(uint16_t{0}));
        memory_.store(index, le16(static_cast<uint16_t>(next + 1)));
    }

    void update(uint64_t value) {
        // Most values that are possible, and some that are not.
        const uint64_t size = (value & 1U) != 0 ? value : value % (2 * kRegion) / kBlock * kBlock;
        const bool done = device_->update(size).has_value();
        require(done == (size % kBlock == 0 && size <= kRegion), "a size is taken if it can be");
        if (done) allowed_ = std::max(size, device_->status().plugged_size);
    }

    void check() {
        const MemoryDevice::Status status = device_->status();
        virtio::MemoryConfigSpace space;
        std::memcpy(&space, device_->config().data(), sizeof space);
        uint64_t plugged = 0;
        for (uint64_t offset = 0; offset < kRegion; offset += kBlock) {
            if (!memory_.contains({kBase + offset}, kBlock)) continue;
            plugged += kBlock;
            require(shown_.shown[offset / kSlot], "a plugged block is shown");
            require(offset < space.usable_region_size, "a plugged block is usable");
        }
        require(plugged == status.plugged_size && plugged == space.plugged_size,
                "the device counts what is plugged");
        require(plugged <= allowed_, "no more is plugged than requested");
        require(
            space.requested_size <= space.usable_region_size && space.usable_region_size <= kRegion,
            "what is requested is usable");
    }

    const GuestMemory memory_;
    Shown shown_;
    uint64_t allowed_ = kRegion / 2;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    QueueSet queue_{memory_, 1};
    std::unique_ptr<MemoryDevice> device_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    Guest guest(data[0]);
    for_each_step(data + 1, size - 1, [&guest](const Step& step) { guest.step(step); });
    return 0;
}
