// Fuzzes a pmem behind its queue: whatever the ring and the requests are, no crash, no hang, and
// every request that was taken is given back.
//
// Input: steps of 16 bytes: what, index, two numbers of 16 bits, one of 16 unused, and one of 64.
// See step().

#include <fcntl.h>

#include "devices/virtio/pmem.h"
#include "support/queue_set.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;

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
        queue_.activate(*device_, *loop_);
    }
    ~Guest() { queue_.reset(*device_); }
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    void step(const Step& step) {
        const unsigned what = step.what % 6;
        if (queue_.driver_step(step, what, *device_)) return;
        switch (what) {
            case 4:
                queue_.reset(*device_);
                queue_.activate(*device_, *loop_);
                break;
            case 5:
                queue_.rest(*device_, loop_);
                break;
        }
    }

  private:
    const GuestMemory& memory_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    QueueSet queue_{memory_, 1};
    std::unique_ptr<PmemDevice> device_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    if (size == 0) return 0;
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Guest guest(memory, (data[0] & 1U) != 0);
    for_each_step(data + 1, size - 1, [&guest](const Step& step) { guest.step(step); });
    return 0;
}
