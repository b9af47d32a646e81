// BlockDriver: requests of a block device's driver, on top of FakeDriver.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "devices/virtio/block.h"
#include "support/fake_driver.h"

namespace mote::test {

/// An unlinked file of `size` bytes in `folder`, each 8-byte word its own offset plus 1.
UniqueFd numbered_file(uint64_t size, const char* folder = "/tmp", int flags = 0);
uint64_t word_at(uint64_t offset);

bool all(const std::vector<std::byte>& bytes, uint8_t value);

struct BlockAnswer {
    uint8_t status = 0xFF;
    uint32_t written = 0;
    std::vector<std::byte> data;  ///< of the writable buffer, status byte excluded
};

/// A started device, its driver and one queue; each request waits for its answer.
class BlockDriver {
  public:
    explicit BlockDriver(BlockConfig config, uint64_t features = kRing, uint16_t queue_size = 256)
        : BlockDriver(BlockDevice::create(std::move(config)).value(), features, queue_size) {}

    static constexpr uint64_t kRing = virtio::kFeatureEventIndex | virtio::kFeatureIndirect;

    BlockAnswer read(uint64_t sector, uint32_t bytes);
    BlockAnswer write(uint64_t sector, std::span<const std::byte> data);
    BlockAnswer write(uint64_t sector, uint32_t bytes, uint8_t fill);
    BlockAnswer flush();
    BlockAnswer get_id(uint32_t room = virtio::kBlockIdSize);
    BlockAnswer ranges(uint32_t type, const std::vector<virtio::BlockRange>& ranges);
    /// Any request: header, readable bytes (if any), writable bytes (if any), status.
    BlockAnswer request(uint32_t type, uint64_t sector, std::span<const std::byte> readable,
                        uint32_t writable);
    /// Adds one without waiting; its status byte is the last buffer, 0xEE until answered.
    AddedChain add(uint32_t type, uint64_t sector, std::span<const std::byte> readable,
                   uint32_t writable);
    void send() {
        if (queue.publish()) driver.kick();
    }
    std::optional<virtio::UsedElement> wait() { return FakeDriver::wait_used(queue); }

    FakeRam ram{uint64_t{64} << 20U};
    BlockDevice& device;  ///< on its worker's thread
    FakeDriver driver;
    FakeQueue queue;

  private:
    BlockDriver(std::unique_ptr<BlockDevice> made, uint64_t features, uint16_t queue_size);
};

}  // namespace mote::test
