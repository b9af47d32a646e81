// VhostUserBlock: a disk (virtio 1.2, 5.2) that another process serves, by the vhost-user protocol.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "devices/virtio/block_protocol.h"
#include "devices/virtio/device.h"
#include "devices/virtio/vhost_user_socket.h"
#include "memory/guest_memory.h"

namespace mote {

struct VhostUserBlockConfig {
    std::string id;    ///< "disk0": names it in messages
    UniqueFd socket;   ///< connected to the back end
    std::string path;  ///< where that was, for messages
    /// How long the start may take altogether, and then each drain.
    std::chrono::milliseconds patience{5000};
};

/// One queue of 256. The back end has all guest memory and the queue's eventfds: no request of the
/// guest's comes by here. What it says is read as a stranger's; once it breaks the protocol, hangs
/// up or does not answer in time, it is lost for good: the device needs a reset, and fails each
/// later start by the driver.
class VhostUserBlock final : public VirtioDevice {
  public:
    /// Waits until the back end has told what it is, for `patience` at most. `memory` is backed by
    /// memfds, as share_in_memfd() makes them, and outlives the device. Errors: what the back end
    /// does wrong or lacks; EMFILE, ENFILE, ENOMEM.
    static Result<std::unique_ptr<VhostUserBlock>> create(VhostUserBlockConfig config,
                                                          const GuestMemory& memory);

    [[nodiscard]] const std::string& name() const override { return id_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeBlock; }
    [[nodiscard]] uint64_t features() const override { return features_; }
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override { return space_; }
    [[nodiscard]] bool served_elsewhere() const override { return true; }

    Result<> activate(const Activation& activation) override;
    /// Nothing to do: the back end looks at a ring that goes on by itself.
    bool on_queue(uint16_t /*index*/) override { return false; }
    /// Done when the back end has stopped the ring, or is lost.
    void drain(std::function<void()> done) override;
    void resume() override;
    /// Without a drain() before, the connection ends: the back end may be at work.
    void reset() override;

  private:
    static constexpr std::array<uint16_t, 1> kQueueSizes{256};

    enum class Ring : uint8_t {
        none,      ///< no driver, or no back end any more
        running,   ///< the back end serves it
        settling,  ///< and is to answer what is in flight before it is told to stop
        stopping,  ///< it was told to stop, and has not answered
        stopped,   ///< from drain() to resume() or reset()
    };

    VhostUserBlock(VhostUserBlockConfig config, const GuestMemory& memory, UniqueFd timer);
    Result<> shake_hands();
    Result<> tell_driver(uint64_t agreed);
    Result<> start_ring();
    [[nodiscard]] bool in_flight() const;
    void settle();
    void go_on();
    Result<> watch(EventLoop& loop);
    void unwatch();
    void set_timer(std::chrono::milliseconds after) const;
    void on_message();
    void on_timer();
    void on_stopped();
    /// Gives the back end up.
    void lose(std::string_view what);
    /// The same, and the driver is told.
    void fail_device(std::string_view what);
    [[nodiscard]] std::string blame(std::string_view what) const;

    const std::string id_;
    const std::string path_;
    const std::chrono::milliseconds patience_;
    const GuestMemory& memory_;
    const UniqueFd timer_;
    VhostUserSocket socket_;
    uint64_t features_ = 0;
    std::array<std::byte, vhost_user::kConfigBytes> space_{};
    std::string lost_;  ///< why there is no back end any more

    Queue* queue_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
    EventLoop* loop_ = nullptr;  ///< while it is watched
    int kick_fd_ = -1;
    int call_fd_ = -1;
    Ring ring_ = Ring::none;
    uint16_t base_ = 0;     ///< of a ring that does not run: the next available entry
    bool resumed_ = false;  ///< a resume() came while the ring was stopping
    std::chrono::steady_clock::time_point settle_until_;
    std::function<void()> on_drained_;
};

}  // namespace mote
