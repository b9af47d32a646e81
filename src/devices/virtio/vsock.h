// VsockDevice: streams between ports of the guest and Unix sockets of the host (virtio 1.2, 5.10).
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/unique_fd.h"
#include "devices/virtio/adaptive_poll.h"
#include "devices/virtio/device.h"
#include "devices/virtio/vsock_rx.h"
#include "devices/virtio/vsock_table.h"
#include "devices/virtio/vsock_tx.h"

namespace mote {

struct VsockDeviceConfig {
    uint32_t guest_cid = 3;
    /// Clients of the host come here and say `CONNECT port\n`. Listening, non-blocking.
    UniqueFd listener;
    /// The guest's port N is the Unix socket `path_N`.
    std::string path;
    uint32_t max_connections = 1023;
    VsockTimes times;
};

/// Three queues of 256: receive, transmit, event. Only streams, only to and from the host. What a
/// packet asks for that cannot be is answered by a reset of its connection; what is no packet
/// breaks the queue.
class VsockDevice final : public VirtioDevice {
  public:
    /// Errors: the host's, for want of a timer.
    static Result<std::unique_ptr<VirtioDevice>> create(VsockDeviceConfig config);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeVsock; }
    /// Both queues are served in order, each chain given back before the next.
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&space_, 1));
    }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override;
    void reset() override;

  private:
    static constexpr std::array<uint16_t, 3> kQueueSizes{256, 256, 256};
    using Next = VsockConnection::Next;

    VsockDevice(VsockDeviceConfig config, UniqueFd timer);

    // All work is done by turn(), which runs once for all events that came together.
    void request_turn();
    void turn();
    bool wait_for_more();

    bool serve_tx();
    void take_packet(const virtio::VsockHeader& header);
    void begin_request(const virtio::VsockHeader& header, VsockPorts ports);
    void finish_run();
    void publish_tx();

    bool serve_rx();
    void send_reset(const VsockReset& reset);
    size_t serve(VsockConnection& connection);
    void publish_rx();

    bool accept_clients();
    void on_host_events(VsockConnection& connection, uint32_t events);
    void on_greeting(VsockConnection& connection, uint32_t events);
    bool connect(VsockConnection& connection);
    bool watch(VsockConnection& connection);

    void act(VsockConnection& connection, Next next);
    void refresh(VsockConnection& connection);
    void drop(VsockConnection& connection);

    void arm_timer(bool on);
    void on_tick();

    const std::string name_ = "vsock";
    const uint32_t guest_cid_;
    const std::string path_;
    const virtio::VsockConfigSpace space_;
    UniqueFd listener_;
    UniqueFd timer_;
    VsockTable table_;
    VsockRx rx_;
    VsockTx tx_;
    AdaptivePoll poll_;
    LogLimiter log_limiter_;

    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;
    Queue* rx_queue_ = nullptr;
    Queue* tx_queue_ = nullptr;
    VsockConnection* running_ = nullptr;  ///< whose data the run of tx_ is
    bool turn_requested_ = false;
    bool paused_ = false;
    bool starved_ = false;     ///< something is to be sent, and the driver offers no buffer
    bool acceptable_ = false;  ///< clients may be waiting
    bool accept_later_ = false;
    bool ticking_ = false;
};

}  // namespace mote
