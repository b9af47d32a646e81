// Fuzzes a balloon behind its queues: whatever the rings, the requests and the host's wishes are,
// no crash, no hang, no memory of the process discarded but the guest's.
//
// Input: steps of 16 bytes: what, queue, two numbers of 16 bits, one of 32 and one of 64. See
// step().

#include <cstdint>
#include <cstring>

#include "devices/virtio/balloon.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{256} << 10U;
constexpr uint16_t kSize = 8;        // of each queue
constexpr uint64_t kRings = 0x1000;  // of queue i: at kRings * (i + 1)
constexpr uint64_t kAvailable = 0x400;
constexpr uint64_t kUsed = 0x800;
constexpr size_t kQueues = 5;

struct Step {
    uint8_t what;
    uint8_t queue;
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
    explicit Guest(const GuestMemory& memory) : memory_(memory) {
        device_ = BalloonDevice::create({.deflate_on_oom = true,
                                         .reporting = true,
                                         .hinting = true,
                                         .statistics_interval_s = 1},
                                        memory)
                      .value();
        activate();
    }
    ~Guest() { reset(); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        const uint64_t rings = kRings * (step.queue % kQueues + 1);
        switch (step.what % 8) {
            case 0: {  // a descriptor: value is 40 bits of address, 24 of length
                const virtio::Descriptor descriptor{
                    .address = step.value & 0xFF'FFFF'FFFF,
                    .length = static_cast<uint32_t>(step.value >> 40U),
                    .flags = static_cast<uint16_t>(step.first & 0xFF),
                    .next = step.second};
                const uint64_t index = (step.first >> 8U) % kSize;
                memory_.store({rings + index * sizeof descriptor}, descriptor);
                break;
            }
            case 1:  // an entry of the available ring, and its index
                memory_.store(
                    {rings + kAvailable + virtio::kRingEntries + (step.first % kSize) * 2},
                    le16(static_cast<uint16_t>(step.value)));
                memory_.store({rings + kAvailable + virtio::kRingIndex}, le16(step.second));
                break;
            case 2:
                memory_.store({step.first * uint64_t{4}}, le64(step.value));
                break;
            case 3:
                serve(static_cast<uint16_t>(step.queue % kQueues));
                break;
            case 4:
                device_->config_write(
                    step.first, std::as_bytes(std::span(&step.value, 1)).first(step.second % 9));
                break;
            case 5:
                host(step);
                break;
            case 6:
                reset();
                activate();
                break;
            case 7:
                device_->drain([] {});
                device_->resume();
                break;
        }
    }

  private:
    void serve(uint16_t index) {
        for (unsigned turns = 0; device_->on_queue(index); ++turns)
            require(turns < 64, "a queue comes to its end");
    }

    void host(const Step& step) {
        static_cast<void>(device_->set_target(static_cast<uint32_t>(step.value)));
        static_cast<void>(device_->set_statistics_interval(step.first));
        static_cast<void>((step.second & 1U) != 0 ? device_->start_hinting(step.second > 1)
                                                  : device_->stop_hinting());
        require(device_->target_pages() <= kRam / 4096, "no target beyond RAM");
        require(device_->statistics().has_value(), "statistics are on");
    }

    void activate() {
        std::vector<Queue*> list;
        for (size_t i = 0; i < kQueues; ++i) {
            const uint64_t rings = kRings * (i + 1);
            memory_.store({rings + kAvailable + virtio::kRingIndex}, le16(uint16_t{0}));
            queues_.push_back(Queue::create({.max_size = 256,
                                             .size = kSize,
                                             .ready = true,
                                             .descriptors = {rings},
                                             .driver = {rings + kAvailable},
                                             .device = {rings + kUsed}},
                                            memory_, device_->features(), {})
                                  .value());
            list.push_back(queues_.back().get());
        }
        const auto done = device_->activate({.queues = list,
                                             .interrupt = interrupt_,
                                             .loop = *loop_,
                                             .features = device_->features()});
        require(done.has_value(), "it can be activated");
    }

    void reset() {
        for (const auto& queue : queues_)
            queue->close();
        device_->reset();
        for (const auto& queue : queues_)
            require(queue->in_flight() == 0, "no chain is left after a reset");
        queues_.clear();
    }

    const GuestMemory& memory_;
    Interrupt interrupt_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::vector<std::unique_ptr<Queue>> queues_;
    std::unique_ptr<BalloonDevice> device_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Guest guest(memory);
    for (size_t at = 0; at + sizeof(Step) <= size; at += sizeof(Step)) {
        Step step;
        std::memcpy(&step, data + at, sizeof step);
        guest.step(step);
    }
    return 0;
}
