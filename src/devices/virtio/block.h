// BlockDevice: a disk (virtio 1.2, 5.2) whose content is a raw file or a block device of the host.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "devices/virtio/adaptive_poll.h"
#include "devices/virtio/block_protocol.h"
#include "devices/virtio/block_request.h"
#include "devices/virtio/device.h"
#include "devices/virtio/disk.h"
#include "devices/virtio/throttle.h"

namespace mote {

/// When a write counts as done.
enum class BlockCache : uint8_t {
    writeback,  ///< through the host's page cache; the guest's flush is an fdatasync
    unsafe,     ///< the same, but there is no flush
    direct,     ///< the file was opened with O_DIRECT; flushes as in writeback
};

struct BlockConfig {
    std::string id;  ///< names the device in messages; its first 20 bytes are the serial number
    UniqueFd file;   ///< opened read-write, unless read_only
    DiskFile::Kind kind = DiskFile::Kind::file;
    uint64_t size_bytes = 0;  ///< an incomplete last block is left out
    bool read_only = false;
    BlockCache cache = BlockCache::writeback;
    DiskEngineChoice engine = DiskEngineChoice::automatic;
    RateLimits limits;  ///< of requests, and of the bytes of their data
};

/// Another file behind a disk that is in use, of the same mode and cache.
struct BlockBacking {
    UniqueFd file;
    DiskFile::Kind kind = DiskFile::Kind::file;
    uint64_t size_bytes = 0;
};

/// A change of a disk while the guest runs; what is not named stays as it is.
struct BlockUpdate {
    std::optional<BlockBacking> backing;
    std::optional<uint64_t> size_bytes;  ///< of the file it has, which has become longer or shorter
    RateLimitsUpdate limits;
};

/// One queue of 256. Offers read, write, flush, get-id, discard and write-zeroes. A request that
/// cannot be done gets its status; one that is no request at all breaks the queue.
class BlockDevice final : public VirtioDevice {
  public:
    /// Errors: EMFILE, ENFILE, ENOMEM.
    static Result<std::unique_ptr<BlockDevice>> create(BlockConfig config);

    [[nodiscard]] const std::string& name() const override { return id_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeBlock; }
    [[nodiscard]] uint64_t features() const override { return features_; }
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override { draining_ = false; }
    void reset() override;

    /// Requests in flight end on the file they began on; all later ones, a flush too, go to the new
    /// one. The transport then tells the driver of the new capacity. Worker's thread. Errors: the
    /// file's blocks are larger than those that the driver knows; EMFILE, ENFILE, ENOMEM. Nothing
    /// has changed then.
    Result<> update(BlockUpdate update);

  private:
    static constexpr std::array<uint16_t, 1> kQueueSizes{256};

    /// A request in flight, at its chain's head.
    struct Slot {
        std::optional<Chain> chain;
        std::byte* status = nullptr;  ///< in guest memory, while the chain is held
        DiskOp op = DiskOp::flush;
        uint32_t data_written = 0;  ///< into the chain's buffers, if all goes well
        std::vector<DiskRange> ranges;
    };

    /// What was done since the worker turned to this device.
    struct Turn {
        unsigned requests = 0;
        uint64_t bytes = 0;
    };

    BlockDevice(BlockConfig config, Throttle throttle);
    void fill_config_space();
    [[nodiscard]] std::unique_ptr<Disk> make_disk(UniqueFd file, DiskFile::Kind kind);
    void set_size(uint64_t bytes);
    void replace_disk(std::unique_ptr<Disk> disk);
    void reap_retired();
    [[nodiscard]] unsigned in_flight() const;
    /// Serves the queue until it is empty or held up (false), or this turn's share is used up
    /// (true).
    bool serve_available();
    void begin(Chain chain);
    void begin_disk(Slot& slot, uint16_t tag, const DiskRequest& request);
    void answer_id(Slot& slot);
    void finish(Slot& slot, uint8_t status, uint32_t data_written);
    void on_disk_result(uint16_t tag, int result);
    void on_disk_ready();
    void publish();
    void report_failure(DiskOp op, int result);

    const std::string id_;
    const BlockCache cache_;
    const DiskEngineChoice engine_;
    const uint64_t features_;
    bool write_through_ = false;
    std::unique_ptr<Disk> disk_;
    /// What was replaced, while requests are in flight there.
    std::vector<std::unique_ptr<Disk>> retired_;
    BlockLimits limits_;
    virtio::BlockConfigSpace space_{};
    AdaptivePoll poll_;
    Throttle throttle_;
    LogLimiter log_limiter_;

    Queue* queue_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    std::vector<Slot> slots_;
    unsigned unpublished_ = 0;
    Turn turn_;
    bool draining_ = false;
    std::function<void()> on_drained_;
};

}  // namespace mote
