// PmemDevice: a file as persistent memory of the guest's (virtio 1.2, 5.19).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/log.h"
#include "devices/virtio/device.h"
#include "devices/virtio/disk_file.h"
#include "devices/virtio/disk_pool.h"
#include "devices/virtio/pmem_protocol.h"
#include "devices/virtio/throttle.h"
#include "memory/guest_address.h"

namespace mote {

struct PmemDeviceConfig {
    std::string id;  ///< "pmem0": names it in messages
    UniqueFd file;
    DiskFile::Kind kind = DiskFile::Kind::file;
    uint64_t file_bytes = 0;  ///< what a flush costs of the limit of bytes
    GuestAddress start;       ///< where the guest finds the memory
    uint64_t size = 0;        ///< of that, bytes: the file's and what it is padded with
    bool read_only = false;   ///< flushes then have nothing to do
    RateLimits limits;
};

/// The guest reads and writes the memory without the device, which knows only where it lies; who
/// makes the device maps the file and shows it. The device serves flushes: an fdatasync of the
/// file, on a thread of its own. Flushes that come while one is under way share the next.
class PmemDevice final : public VirtioDevice {
  public:
    /// Requests taken before the worker's other devices have their turn.
    static constexpr unsigned kMaxRequestsPerTurn = 64;

    /// Errors: EMFILE, ENFILE, ENOMEM.
    static Result<std::unique_ptr<PmemDevice>> create(PmemDeviceConfig config);
    /// Waits for a flush that is under way.
    ~PmemDevice() override = default;

    [[nodiscard]] const std::string& name() const override { return id_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypePmem; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override { draining_ = false; }
    void reset() override;

  private:
    static constexpr std::array<uint16_t, 1> kQueueSizes{256};

    PmemDevice(PmemDeviceConfig config, Throttle throttle);
    void begin(Chain chain);
    void start_flush();
    void on_flushed();
    void finish(Chain chain, uint32_t result);
    void publish();

    const std::string id_;
    const DiskFile file_;
    const uint64_t file_bytes_;
    const bool read_only_;
    const virtio::PmemConfigSpace space_;
    Throttle throttle_;
    LogLimiter log_limiter_;

    Queue* queue_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    std::unique_ptr<DiskPool> pool_;  ///< from activate() to reset()
    std::vector<Chain> flushing_;     ///< those that the flush under way answers
    std::vector<Chain> waiting_;      ///< those that came after it began
    bool draining_ = false;
    std::function<void()> on_drained_;
};

}  // namespace mote
