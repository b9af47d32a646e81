// Fuzzes the registers of a virtio-mmio device, with a device behind them and rings that the input
// writes: no crash, no hang, and registers that keep to the specification.
//
// Input: one byte (bit 0: a disk, else entropy), then steps of 8 bytes: what, width, offset (16
// bits), value (32 bits). See step().

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "devices/virtio/block.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/protocol.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 10U;
constexpr uint64_t kDisk = uint64_t{64} << 10U;

struct Step {
    uint8_t what;
    uint8_t width;
    uint16_t offset;
    uint32_t value;
};

std::unique_ptr<VirtioDevice> create_device(bool disk) {
    if (!disk) return EntropyDevice::create();
    UniqueFd file(::memfd_create("fuzz", MFD_CLOEXEC));
    require(::ftruncate(file.get(), kDisk) == 0, "memfd");
    return BlockDevice::create({.id = "disk0", .file = std::move(file), .size_bytes = kDisk})
        .value();
}

class Machine {
  public:
    Machine(const GuestMemory& memory, bool disk)
        : memory_(memory),
          transport_(MmioTransport::create(create_device(disk), memory, *loop_, page_,
                                           EventFd::create().value())
                         .value()) {
        loop_->stop();  // from now on run() serves what is there and returns
    }

    /// One thing that a guest, or time, can do.
    void step(const Step& step) {
        const auto value = std::as_bytes(std::span(&step.value, 1));
        switch (step.what % 5) {
            case 0:
                write(step.offset % 4096, value);
                break;
            case 1:
                write(step.offset % 4096, value.first(step.width % 4 + 1));
                break;
            case 2:
                memory_.write({step.offset}, value.first(step.width % 4 + 1));
                break;
            case 3:
                read(step);
                break;
            case 4:
                serve();
                break;
        }
        check();
    }

    void finish() {
        const uint32_t zero = 0;
        transport_->write(mmio::kStatus, std::as_bytes(std::span(&zero, 1)));
        for (unsigned turns = 0; transport_->reset_pending(); ++turns) {
            require(turns < 100'000, "a reset comes to its end");
            serve();
            ::usleep(turns < 100 ? 0 : 100);
        }
        require(read32(mmio::kStatus) == 0, "status 0 after a reset");
        require(read32(mmio::kInterruptStatus) == 0, "no interrupt after a reset");
    }

  private:
    void serve() {
        loop_->post([] {});
        loop_->run();
    }
    bool running() { return (read32(mmio::kStatus) & virtio::kStatusDriverOk) != 0; }
    void write(uint64_t offset, std::span<const std::byte> value) {
        const bool frozen = running() && offset != mmio::kQueueSel;
        const uint32_t ready = read32(mmio::kQueueReady);
        transport_->write(offset, value);
        if (frozen && running())
            require(read32(mmio::kQueueReady) == ready, "no queue changes after DRIVER_OK");
    }
    void read(const Step& step) {
        std::byte bytes[8];
        transport_->read(step.offset, std::span(bytes).first(step.width % 8 + 1));
    }
    uint32_t read32(uint64_t offset) {
        uint32_t value = 0;
        std::memcpy(&value, &page_[offset], sizeof value);
        return value;
    }
    void check() {
        using namespace virtio;
        const uint32_t status = read32(mmio::kStatus);
        const uint32_t up =
            status & (kStatusAcknowledge | kStatusDriver | kStatusFeaturesOk | kStatusDriverOk);
        require(read32(mmio::kMagicValue) == mmio::kMagic, "the magic value");
        require((status & ~(15U | kStatusNeedsReset | kStatusFailed)) == 0, "known status bits");
        require(up == 0 || up == 1 || up == 3 || up == 11 || up == 15, "status climbs by steps");
        require(read32(mmio::kInterruptStatus) <= 3, "known interrupt bits");
        require((read32(mmio::kInterruptStatus) & 1) == (up == 15 ? 1 : 0),
                "bit 0 from DRIVER_OK to reset");
        require(read32(mmio::kShmLenLow) == ~0U, "no shared memory");
    }

    alignas(4096) std::array<std::byte, RegisterPage::kSize> page_{};
    const GuestMemory& memory_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<MmioTransport> transport_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    if (size == 0) return -1;
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Machine machine(memory, (data[0] & 1) != 0);
    for (size_t at = 1; at + sizeof(Step) <= size; at += sizeof(Step)) {
        Step step;
        std::memcpy(&step, data + at, sizeof step);
        machine.step(step);
    }
    machine.finish();
    return 0;
}
