// Fuzzes a pmem behind its queue: whatever the ring and the requests are, no crash, no hang, and
// every request that was taken is given back.
//
// Input: steps of 16 bytes: what, index, two numbers of 16 bits, one of 16 unused, and one of 64.
// See step().

#include <fcntl.h>

#include <cstdint>
#include <cstring>

#include "devices/virtio/pmem.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;
constexpr uint16_t kSize = 8;
constexpr GuestAddress kDescriptors{0x1000};
constexpr GuestAddress kAvailable{0x1400};
constexpr GuestAddress kUsed{0x1800};

struct Step {
    uint8_t what;
    uint8_t index;
    uint16_t first;
    uint16_t second;
    uint16_t unused;
    uint64_t value;
};
static_assert(sizeof(Step) == 16);

class Interrupt final : public VirtioInterrupt {
  public:
    void queue(uint16_t /*index*/) override {}
    void config() override {}
    void needs_reset(std::string_view /*why*/) override {}
};

class Guest {
  public:
    Guest(const GuestMemory& memory, bool read_only) : memory_(memory) {
        UniqueFd file(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        device_ = PmemDevice::create({.id = "pmem0",
                                      .file = std::move(file),
                                      .file_bytes = 4096,
                                      .start = {uint64_t{512} << 30U},
                                      .size = uint64_t{2} << 20U,
                                      .read_only = read_only,
                                      .limits = {}})
                      .value();
        activate();
    }
    ~Guest() { reset(); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        switch (step.what % 6) {
            case 0: {  // a descriptor: value is 40 bits of address, 24 of length
                const virtio::Descriptor descriptor{
                    .address = step.value & 0xFF'FFFF'FFFF,
                    .length = static_cast<uint32_t>(step.value >> 40U),
                    .flags = step.first,
                    .next = step.second};
                memory_.store({kDescriptors.value + step.index % kSize * sizeof descriptor},
                              descriptor);
                break;
            }
            case 1:  // an entry of the available ring, and its index
                memory_.store({kAvailable.value + virtio::kRingEntries + step.first % kSize * 2},
                              le16(static_cast<uint16_t>(step.value)));
                memory_.store({kAvailable.value + virtio::kRingIndex}, le16(step.second));
                break;
            case 2:
                memory_.store({step.first * uint64_t{4}}, le64(step.value));
                break;
            case 3:
                for (unsigned turns = 0; device_->on_queue(0); ++turns)
                    require(turns < 64, "a queue comes to its end");
                break;
            case 4:
                reset();
                activate();
                break;
            case 5:
                rest();
                break;
        }
    }

  private:
    /// Waits until nothing is under way, as a pause does.
    void rest() {
        std::unique_ptr<EventLoop> loop = EventLoop::create().value();
        bool rested = false;
        device_->drain([&] {
            rested = true;
            loop_->stop();
        });
        if (!rested) loop_->run();
        require(rested, "a drained device rests");
        require(queue_->in_flight() == 0, "no chain is left after a drain");
        device_->resume();
        // A loop that was stopped stays so: the device gets another one.
        reset();
        loop_ = std::move(loop);
        activate();
    }

    void activate() {
        memory_.store({kAvailable.value + virtio::kRingIndex}, le16(uint16_t{0}));
        queue_ = Queue::create({.max_size = 256,
                                .size = kSize,
                                .ready = true,
                                .descriptors = kDescriptors,
                                .driver = kAvailable,
                                .device = kUsed},
                               memory_, device_->features(), {})
                     .value();
        Queue* const list[] = {queue_.get()};
        const auto done = device_->activate({.queues = list,
                                             .interrupt = interrupt_,
                                             .loop = *loop_,
                                             .features = device_->features()});
        require(done.has_value(), "it can be activated");
    }

    void reset() {
        queue_->close();
        device_->reset();
        require(queue_->in_flight() == 0, "no chain is left after a reset");
    }

    const GuestMemory& memory_;
    Interrupt interrupt_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<Queue> queue_;
    std::unique_ptr<PmemDevice> device_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    if (size == 0) return 0;
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Guest guest(memory, (data[0] & 1U) != 0);
    for (size_t at = 1; at + sizeof(Step) <= size; at += sizeof(Step)) {
        Step step;
        std::memcpy(&step, data + at, sizeof step);
        guest.step(step);
    }
    return 0;
}
