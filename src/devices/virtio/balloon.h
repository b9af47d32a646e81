// BalloonDevice: memory that the guest gives back to the host (virtio 1.2, 5.5).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "devices/virtio/balloon_protocol.h"
#include "devices/virtio/balloon_statistics.h"
#include "devices/virtio/device.h"

namespace mote {

struct BalloonConfig {
    uint32_t target_pages = 0;    ///< of 4 KiB that the guest is asked for
    bool deflate_on_oom = false;  ///< a guest short of memory may take pages back by itself
    bool reporting = false;       ///< the guest tells of memory that it has freed
    bool hinting = false;         ///< the guest tells of free memory when start_hinting() asks
    uint16_t statistics_interval_s = 0;  ///< between two reports; 0: no statistics
};

/// Queues: inflate, deflate, then those of the features offered, in this order without a gap:
/// statistics, hinting, reporting. A driver that does not accept a feature leaves its queue alone.
///
/// What the guest gives is discarded at once, in as few calls as a request allows. Reported and
/// hinted memory comes in blocks of 2 MiB and more, so the host's huge pages go as a whole; an
/// inflating Linux gives single pages, which splits them (docs/balloon.md).
///
/// Everything from set_target() on is called on the worker's thread, with the driver active or not.
class BalloonDevice final : public VirtioDevice {
  public:
    struct Hinting {
        uint32_t host_command;
        std::optional<uint32_t> guest_command;  ///< the driver's last, if there was one
    };

    /// `memory` outlives the device. Errors: EMFILE, ENFILE, ENOMEM; a target beyond all RAM.
    static Result<std::unique_ptr<BalloonDevice>> create(const BalloonConfig& config,
                                                         const GuestMemory& memory);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeBalloon; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return queue_sizes_; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void config_write(uint64_t offset, std::span<const std::byte> data) override;
    void drain(std::function<void()> done) override;
    void resume() override { draining_ = false; }
    void reset() override;

    /// Asks the guest for `pages` of 4 KiB in all. Errors: no driver is active, or more than RAM.
    Result<> set_target(uint32_t pages);
    [[nodiscard]] uint32_t target_pages() const { return space_.num_pages; }
    /// What the driver says it gave; nothing to be relied on.
    [[nodiscard]] uint32_t actual_pages() const { return space_.actual; }

    /// The last report. Errors: the device has no statistics.
    [[nodiscard]] Result<BalloonStatistics> statistics() const;
    /// Errors: from or to 0, which would change what the driver was offered.
    Result<> set_statistics_interval(uint16_t seconds);

    /// Asks the guest to name its free memory, once. With `acknowledge_on_stop` the guest gets it
    /// back when it has named all; else after stop_hinting(). Errors: not offered, or no driver.
    Result<> start_hinting(bool acknowledge_on_stop);
    Result<> stop_hinting();
    [[nodiscard]] Result<Hinting> hinting() const;

  private:
    enum class Role : uint8_t { inflate, deflate, statistics, hinting, reporting };

    BalloonDevice(const BalloonConfig& config, const GuestMemory& memory, UniqueFd timer);
    void add_queue(Role role);
    void handle(Role role, Queue& queue, Chain chain);
    void inflate(Queue& queue, Chain chain);
    void take_statistics(Queue& queue, Chain chain);
    void take_hint(Queue& queue, Chain chain);
    void take_hinting_command(Queue& queue, Chain chain);
    void discard(std::span<const iovec> ranges);
    void ask_for_statistics();
    void set_timer(uint16_t seconds);
    Result<> check_hinting() const;
    void command_hinting(uint32_t command);

    const std::string name_ = "balloon";
    const GuestMemory& memory_;
    const BalloonConfig offered_;
    virtio::BalloonConfigSpace space_{};
    std::vector<Role> roles_;  ///< by queue
    std::vector<uint16_t> queue_sizes_;
    UniqueFd timer_;  ///< of the statistics
    uint16_t statistics_interval_s_;
    LogLimiter log_limiter_;

    std::vector<Queue*> queues_;  ///< empty while no driver is active
    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    bool draining_ = false;
    /// What is left of this turn: calls, and bytes in them.
    unsigned calls_left_ = 0;
    uint64_t bytes_left_ = 0;

    std::optional<Chain> held_;  ///< the driver's statistics buffer, until the next are wanted
    BalloonStatistics statistics_;
    uint32_t last_command_ = virtio::kHintingDone;
    std::optional<uint32_t> guest_command_;
    bool acknowledge_on_stop_ = false;
};

}  // namespace mote
