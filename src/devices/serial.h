// A 16550A serial port whose sending side is always ready.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "base/event_fd.h"
#include "devices/bus.h"
#include "devices/console_io.h"

namespace mote {

/// The registers of a National Semiconductor PC16550D (its data sheet, section 8) at offsets 0
/// to 7. Sent bytes go to the output at once; received ones wait in a bounded FIFO, and a full FIFO
/// refuses more. Any thread.
class Serial final : public IoHandler, public ConsoleInput {
  public:
    static constexpr size_t kInputSize = 64;

    /// `output` outlives the port. `line` is its interrupt, edge-triggered.
    Serial(ConsoleOutput& output, EventFd line) : output_(output), line_(std::move(line)) {}

    void read(uint64_t offset, std::span<std::byte> data) override;
    void write(uint64_t offset, std::span<const std::byte> data) override;
    size_t push(std::span<const std::byte> bytes) noexcept override;
    void on_room(std::function<void()> tell) override;

    /// Bytes that were written to offset 0 (THR) without an exit, in order.
    void sent(std::span<const std::byte> bytes);

    [[nodiscard]] const EventFd& line() const { return line_; }

  private:
    uint8_t read_register(uint64_t offset);
    void write_register(uint64_t offset, uint8_t value);
    uint8_t pop_input();
    uint8_t identify_interrupt();
    void transmit(uint8_t value);
    void receive(uint8_t value);
    void update_line();
    void tell_of_room();
    [[nodiscard]] uint8_t pending_interrupt() const;
    [[nodiscard]] bool divisor_latch() const;

    ConsoleOutput& output_;
    EventFd line_;
    std::mutex mutex_;

    uint8_t interrupt_enable_ = 0;
    uint8_t fifo_control_ = 0;
    uint8_t line_control_ = 3;  // 8 bits, no parity
    uint8_t modem_control_ = 0;
    uint8_t scratch_ = 0;
    std::array<uint8_t, 2> divisor_{12, 0};  // 9600 baud
    bool transmit_interrupt_ = false;        // THR became empty, and IIR has not told yet
    bool line_high_ = false;

    std::array<uint8_t, kInputSize> input_{};
    size_t input_first_ = 0;
    size_t input_count_ = 0;
    bool sender_waits_ = false;
    std::function<void()> tell_room_;
};

}  // namespace mote
