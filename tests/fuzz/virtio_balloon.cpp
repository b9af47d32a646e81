// Fuzzes a balloon behind its queues: whatever the rings, the requests and the host's wishes are,
// no crash, no hang, no memory of the process discarded but the guest's.
//
// Input: steps of 16 bytes: what, queue, two numbers of 16 bits, one of 32 and one of 64. See
// step().

#include "devices/virtio/balloon.h"
#include "support/queue_set.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{256} << 10U;
constexpr size_t kQueues = 5;

class Guest {
  public:
    explicit Guest(const GuestMemory& memory) : queues_(memory, kQueues) {
        device_ = BalloonDevice::create({.deflate_on_oom = true,
                                         .reporting = true,
                                         .hinting = true,
                                         .statistics_interval_s = 1},
                                        memory)
                      .value();
        queues_.activate(*device_, *loop_);
    }
    ~Guest() { queues_.reset(*device_); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        const unsigned what = step.what % 8;
        if (queues_.driver_step(step, what, *device_)) return;
        switch (what) {
            case 4:
                device_->config_write(
                    step.first, std::as_bytes(std::span(&step.value, 1)).first(step.second % 9));
                break;
            case 5:
                host(step);
                break;
            case 6:
                queues_.reset(*device_);
                queues_.activate(*device_, *loop_);
                break;
            case 7:
                device_->drain([] {});
                device_->resume();
                break;
        }
    }

  private:
    void host(const Step& step) {
        static_cast<void>(device_->set_target(static_cast<uint32_t>(step.value)));
        static_cast<void>(device_->set_statistics_interval(step.first));
        static_cast<void>((step.second & 1U) != 0 ? device_->start_hinting(step.second > 1)
                                                  : device_->stop_hinting());
        require(device_->target_pages() <= kRam / 4096, "no target beyond RAM");
        require(device_->statistics().has_value(), "statistics are on");
    }

    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    QueueSet queues_;
    std::unique_ptr<BalloonDevice> device_;
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
