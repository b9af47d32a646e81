// EntropyDevice: random numbers from the host (virtio 1.2, 5.4). The shortest complete device: the
// one to read first, and to start a new one from.
#pragma once

#include <array>
#include <memory>

#include "devices/virtio/device.h"
#include "devices/virtio/throttle.h"

namespace mote {

/// Fills each chain's writable buffers from getrandom(2), up to kMaxRequest bytes of a request.
class EntropyDevice final : public VirtioDevice {
  public:
    /// A longer request is answered in part, which the driver has to expect (5.4.6.1).
    static constexpr size_t kMaxRequest = 4096;
    /// Requests answered before the worker's other devices have their turn.
    static constexpr unsigned kMaxRequestsPerTurn = 16;

    static std::unique_ptr<VirtioDevice> create(Throttle throttle = {});

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeEntropy; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override { draining_ = false; }
    void reset() override;

  private:
    static constexpr std::array<uint16_t, 1> kQueueSizes{256};

    explicit EntropyDevice(Throttle throttle) : throttle_(std::move(throttle)) {}
    void answer(Chain chain);

    const std::string name_ = "entropy";
    Throttle throttle_;
    bool draining_ = false;
    Queue* queue_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
};

}  // namespace mote
