// Fuzzes a virtio console behind its queues: whatever the rings and what is typed are, no crash, no
// hang, and typed bytes are never more than there is room for.
//
// Input: steps (support/queue_set.h). See step().

#include "devices/virtio/console.h"
#include "support/queue_set.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;
constexpr size_t kQueues = 2;
constexpr uint64_t kEnough = uint64_t{64} << 20U;  // printed: more takes time and shows nothing

class Screen final : public ConsoleOutput {
  public:
    void write(std::span<const std::byte> bytes) noexcept override {
        uint64_t sum = 0;
        for (const std::byte byte : bytes)
            sum += std::to_integer<uint8_t>(byte);
        asm volatile("" : : "r"(sum));  // each byte is looked at
        printed_ += bytes.size();
    }
    [[nodiscard]] uint64_t printed() const { return printed_; }

  private:
    uint64_t printed_ = 0;
};

class Guest {
  public:
    explicit Guest(const GuestMemory& memory) : queues_(memory, kQueues) {
        device_->on_room([this] { ++told_; });
        loop_->stop();  // from now on run() serves what is there and returns
        queues_.activate(*device_, *loop_);
    }
    ~Guest() { queues_.reset(*device_); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        if (screen_.printed() > kEnough) return;
        const unsigned what = step.what % 7;
        if (queues_.driver_step(step, what, *device_)) return;
        switch (what) {
            case 4:
                type(step.first % (ConsoleDevice::kInputSize + 2));
                break;
            case 5:
                queues_.reset(*device_);
                queues_.activate(*device_, *loop_);
                break;
            case 6:
                device_->drain([] {});
                QueueSet::serve(*device_, static_cast<uint16_t>(step.queue % kQueues));
                device_->resume();
                break;
        }
    }

  private:
    void type(size_t count) {
        static const std::vector<std::byte> text(ConsoleDevice::kInputSize + 1);
        const size_t taken = device_->push(std::span(text).first(count));
        require(taken <= ConsoleDevice::kInputSize, "no more than there is room for");
        if (taken < count) require(device_->push(text) == 0, "what is full takes nothing");
        if (taken != 0) loop_->run();  // which waits where nothing is there
    }

    Screen screen_;
    unsigned told_ = 0;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    QueueSet queues_;
    std::unique_ptr<ConsoleDevice> device_ =
        ConsoleDevice::create(screen_, WindowSize{.rows = 24, .columns = 80}).value();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Guest guest(memory);
    for_each_step(data, size, [&guest](const Step& step) { guest.step(step); });
    return 0;
}
