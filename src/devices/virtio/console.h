// ConsoleDevice: a virtio console of one port (virtio 1.2, 5.3).
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/event_fd.h"
#include "base/window_size.h"
#include "devices/console_io.h"
#include "devices/virtio/console_protocol.h"
#include "devices/virtio/device.h"

namespace mote {

/// Hands on what the guest prints, a buffer at a time and without an exit a byte, and brings it
/// what somebody types. Output never waits: Linux spins until a console's buffer comes back.
class ConsoleDevice final : public VirtioDevice, public ConsoleInput {
  public:
    /// Bytes typed that wait for the guest; more are refused.
    static constexpr size_t kInputSize = 4096;
    /// The longest chain that can be something to print; a longer one needs a reset.
    static constexpr uint64_t kMaxChainBytes = uint64_t{1} << 20U;
    /// What is printed before the worker's other devices have their turn: at the first chain
    /// beyond one of the two.
    static constexpr uint64_t kMaxBytesPerTurn = uint64_t{64} << 10U;
    static constexpr unsigned kMaxChainsPerTurn = 64;

    /// `output` outlives the device. `size`: what the guest's terminal is told to be.
    /// Errors: EMFILE, ENFILE.
    static Result<std::unique_ptr<ConsoleDevice>> create(ConsoleOutput& output,
                                                         std::optional<WindowSize> size);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] uint32_t type() const override { return virtio::kTypeConsole; }
    [[nodiscard]] uint64_t features() const override;
    [[nodiscard]] std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
    [[nodiscard]] std::span<const std::byte> config() const override {
        return std::as_bytes(std::span(&config_, 1));
    }

    Result<> activate(const Activation& activation) override;
    bool on_queue(uint16_t index) override;
    void drain(std::function<void()> done) override;
    void resume() override;
    void reset() override;

    // ConsoleInput. What is typed before there is a driver waits for it.
    size_t push(std::span<const std::byte> bytes) noexcept override;
    void on_room(std::function<void()> tell) override;

  private:
    static constexpr std::array<uint16_t, 2> kQueueSizes{256, 256};

    ConsoleDevice(ConsoleOutput& output, std::optional<WindowSize> size, EventFd typed);

    // Worker's thread. Both are true where they stopped at a turn's bound.
    bool deliver();
    bool print();
    void print_chain(Chain chain);
    void fill(Chain chain);
    [[nodiscard]] bool has_input();

    const std::string name_ = "console";
    ConsoleOutput& output_;
    const bool has_size_;
    const virtio::ConsoleDeviceConfig config_;
    const EventFd typed_;  ///< there is input
    std::mutex mutex_;     // guards the next three
    std::vector<std::byte> input_;
    bool sender_waits_ = false;
    std::function<void()> tell_room_;

    bool size_told_ = false;
    bool draining_ = false;
    EventLoop* loop_ = nullptr;
    Queue* receive_ = nullptr;
    Queue* transmit_ = nullptr;
    VirtioInterrupt* interrupt_ = nullptr;
};

}  // namespace mote
