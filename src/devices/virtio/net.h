// NetDevice: a network card (virtio 1.2, 5.1) on a TAP or another NetBackend.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "devices/virtio/adaptive_poll.h"
#include "devices/virtio/device.h"
#include "devices/virtio/frame_filter.h"
#include "devices/virtio/net_backend.h"
#include "devices/virtio/net_protocol.h"
#include "devices/virtio/receive_buffers.h"
#include "devices/virtio/throttle.h"

namespace mote {

struct NetConfig {
    std::string id;  ///< names the device in messages
    std::unique_ptr<NetBackend> backend;
    std::optional<std::array<uint8_t, 6>> mac;  ///< none: the guest takes one by chance
    std::optional<uint16_t> mtu;                ///< none: the guest's default
    FrameFilter* filter = nullptr;              ///< outlives the device
    RateLimits receive_limits;                  ///< of frames to the guest
    RateLimits send_limits;                     ///< of frames of the guest
};

/// One receive and one transmit queue of 256. Frames go between guest memory and the host by readv
/// and writev; they are copied where a filter or a limit on receiving takes part, and where the
/// driver has so few buffers that the largest frame would not fit them.
///
/// What the filter takes and gives passes before the limits. A frame that a limit holds up holds up
/// those behind it; the host's end then keeps them, or drops them, as its queue allows.
///
/// The host's end is watched edge-triggered, and an edge is remembered: so a driver without
/// buffers, a host's end that is full and one that is gone cost no CPU, and no request to epoll.
class NetDevice final : public VirtioDevice {
  public:
    /// The largest frame with its header: 64 KiB behind a link header with a VLAN tag.
    static constexpr size_t kMaxFrame = sizeof(virtio::NetHeader) + 18 + 65536;
    /// So long a frame that does not fit the driver's buffers waits for more of them.
    static constexpr uint64_t kMaxHoldNs = 100'000'000;

    struct Counters {
        uint64_t received = 0;
        uint64_t receive_dropped = 0;  ///< too large for the driver's buffers
        uint64_t sent = 0;
        uint64_t send_dropped = 0;  ///< refused by the host's end, or too large
        uint64_t filtered = 0;      ///< taken by the filter
    };

    /// Errors: EMFILE, ENFILE, ENOMEM, with limits only.
    static Result<std::unique_ptr<NetDevice>> create(NetConfig config);

    [[nodiscard]] const std::string& name() const override { return id_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeNet; }
    [[nodiscard]] uint64_t features() const override { return features_; }
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }
    /// Worker's thread.
    [[nodiscard]] const Counters& counters() const { return counters_; }

    /// Changes the limits of what the guest receives and sends, while it runs. Worker's thread.
    /// Errors: EMFILE, ENFILE, ENOMEM, by those of sending after those of receiving have changed.
    Result<> update_limits(const RateLimitsUpdate& receive, const RateLimitsUpdate& send);

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override { paused_ = false; }
    void reset() override;

  private:
    static constexpr std::array<uint16_t, 2> kQueueSizes{256, 256};

    enum class Step : uint8_t {
        frame,    ///< one is done
        idle,     ///< nothing to do
        blocked,  ///< the other side has to make room first
    };
    /// A frame for the guest, header included, that waits for buffers.
    struct Held {
        std::vector<std::byte> bytes;  ///< room for the largest
        size_t size = 0;               ///< 0: none
        uint64_t since_ns = 0;
        bool allowed = false;  ///< by the limits, or free of them
    };
    /// What was done since the worker turned to a queue.
    struct Turn {
        unsigned frames = 0;
        uint64_t bytes = 0;
        [[nodiscard]] bool over() const;
    };

    NetDevice(NetConfig config, Throttle receive_throttle, Throttle send_throttle);
    Result<> watch_backend();
    void on_backend(uint32_t events);
    void lose_backend();
    void serve_again(uint16_t index);
    void note(std::string_view what, ssize_t result);

    // Receiving. The turns return true where they stopped at their bound.
    bool receive_turn();
    Step receive_frame(Turn& turn);
    Step receive_held(Turn& turn);
    Step give_held(Held& held, Turn& turn);
    bool hold_answer();
    bool read_backend(std::span<const iovec> parts, size_t& size);
    void publish_received();

    // Sending.
    bool send_turn();
    bool send_available(Turn& turn);
    Step send_frame();
    void wait_for_room();
    bool filter_takes(const Chain& chain);
    void publish_sent();

    const std::string id_;
    const std::unique_ptr<NetBackend> backend_;
    FrameFilter* const filter_;
    uint64_t features_ = 0;
    virtio::NetConfigSpace space_{};
    Counters counters_;
    LogLimiter log_limiter_;
    AdaptivePoll poll_;

    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    Queue* receive_queue_ = nullptr;
    Queue* send_queue_ = nullptr;
    bool mergeable_ = false;
    bool paused_ = false;
    bool watched_ = false;
    bool gone_ = false;            ///< the host's end is no more; for good
    bool readable_ = false;        ///< the host's end may have a frame
    bool full_ = false;            ///< the host's end takes no frame; watched for room
    std::array<bool, 2> again_{};  ///< by queue: a turn is posted

    std::optional<ReceiveBuffers> buffers_;
    Throttle receive_throttle_;
    Held host_frame_;
    Held answer_;                  ///< the filter's
    unsigned received_ = 0;        ///< and not yet published
    uint64_t received_bytes_ = 0;  ///< of those

    Throttle send_throttle_;
    std::optional<Chain> sending_;  ///< taken, and held up by a limit or a full host's end
    bool sending_allowed_ = false;  ///< by the limits
    unsigned sent_ = 0;             ///< and not yet published
    uint64_t sent_bytes_ = 0;       ///< of those
};

}  // namespace mote
