// NetDriver: a network device's driver, on top of FakeDriver, and the host's end of its wire.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/net.h"
#include "support/fake_driver.h"

namespace mote::test {

/// A socket pair as a NetBackend: one message is one frame with its header.
class SocketBackend final : public NetBackend {
  public:
    /// What a test sees and sets; shared, since the device owns the backend.
    struct Wire {
        UniqueFd host;  ///< the other end
        std::atomic<uint64_t> offloads = 0;
        std::atomic<unsigned> receives = 0;      ///< calls
        std::atomic<unsigned> sends = 0;         ///< calls
        std::atomic<ssize_t> receive_error = 0;  ///< in place of any frame
        std::atomic<ssize_t> send_error = 0;
        std::function<void()> before_send;  ///< worker's thread
        /// Sends one frame; false where the wire is full.
        bool put(std::string_view frame) const;
        /// The next frame of the guest's, header included, or nothing.
        [[nodiscard]] std::optional<std::string> take() const;
        [[nodiscard]] std::optional<std::string> wait() const;
    };

    SocketBackend();
    [[nodiscard]] std::shared_ptr<Wire> wire() const { return wire_; }

    [[nodiscard]] int fd() const override { return fd_.get(); }
    [[nodiscard]] uint64_t offloads() const override;
    Result<> set_offloads(uint64_t features) override;
    ssize_t receive(std::span<const iovec> parts) override;
    ssize_t send(std::span<const iovec> parts) override;

  private:
    UniqueFd fd_;
    std::shared_ptr<Wire> wire_ = std::make_shared<Wire>();
};

/// A frame behind a header of zeros.
std::string with_header(std::string_view frame);

class NetDriver {
  public:
    static constexpr uint64_t kAll =
        virtio::kFeatureEventIndex | virtio::kFeatureIndirect | virtio::kNetMergeable;

    explicit NetDriver(uint64_t features = kAll, uint16_t queue_size = 256,
                       FrameFilter* filter = nullptr, const RateLimits& receive_limits = {},
                       const RateLimits& send_limits = {});

    /// From reset to DRIVER_OK with fresh queues.
    void start(uint64_t features, uint16_t queue_size);
    /// Receive buffers of `size` bytes each, shown to the device, which is kicked if it asks.
    void add_buffers(unsigned count, uint32_t size);
    /// The next frame received, header included and buffers merged; waits for it.
    std::optional<std::string> receive();
    /// Adds a frame to send, with a header of zeros.
    AddedChain add(std::string_view frame);
    void send();
    bool wait_sent(unsigned count);
    /// Waits until the worker has nothing left to do.
    void settle();
    [[nodiscard]] NetDevice::Counters counters();

    FakeRam ram{uint64_t{64} << 20U};
    std::shared_ptr<SocketBackend::Wire> wire;
    NetDevice* device = nullptr;
    std::optional<FakeDriver> driver;
    std::optional<FakeQueue> rx, tx;
    unsigned buffers_used = 0;  ///< of the frame received last
    bool refused = false;       ///< start() came to no DRIVER_OK

  private:
    std::vector<AddedChain> rx_chains_;  ///< by head
};

}  // namespace mote::test
