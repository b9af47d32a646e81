#include "devices/serial.h"

#include <algorithm>

namespace mote {

namespace {

// Register offsets. Offset 0 and 1 are the divisor while LCR bit 7 is set.
constexpr uint64_t kData = 0;
constexpr uint64_t kInterruptEnable = 1;
constexpr uint64_t kInterruptIdentity = 2;  // written: FIFO control
constexpr uint64_t kLineControl = 3;
constexpr uint64_t kModemControl = 4;
constexpr uint64_t kLineStatus = 5;
constexpr uint64_t kModemStatus = 6;
constexpr uint64_t kScratch = 7;

constexpr uint8_t kEnableReceive = 1U << 0U;
constexpr uint8_t kEnableTransmit = 1U << 1U;
constexpr uint8_t kEnableMask = 0x0F;

constexpr uint8_t kIdentityNone = 0x01;
constexpr uint8_t kIdentityTransmit = 0x02;
constexpr uint8_t kIdentityReceive = 0x04;
constexpr uint8_t kIdentityFifoEnabled = 0xC0;

constexpr uint8_t kFifoEnable = 1U << 0U;
constexpr uint8_t kFifoClearReceive = 1U << 1U;

constexpr uint8_t kDivisorLatch = 1U << 7U;
constexpr uint8_t kLoopback = 1U << 4U;
constexpr uint8_t kModemControlMask = 0x1F;

constexpr uint8_t kDataReady = 1U << 0U;
constexpr uint8_t kTransmitEmpty = 0x60;  // holding register and shifter

constexpr uint8_t kModemReady = 0xB0;  // DCD, DSR and CTS

}  // namespace

bool Serial::divisor_latch() const {
    return (line_control_ & kDivisorLatch) != 0;
}

uint8_t Serial::pending_interrupt() const {
    if ((interrupt_enable_ & kEnableReceive) != 0 && input_count_ != 0) return kIdentityReceive;
    if ((interrupt_enable_ & kEnableTransmit) != 0 && transmit_interrupt_) return kIdentityTransmit;
    return kIdentityNone;
}

void Serial::update_line() {
    const bool high = pending_interrupt() != kIdentityNone;
    if (high && !line_high_) line_.signal();
    line_high_ = high;
}

uint8_t Serial::pop_input() {
    if (input_count_ == 0) return 0;
    const uint8_t value = input_[input_first_];
    input_first_ = (input_first_ + 1) % kInputSize;
    --input_count_;
    return value;
}

void Serial::receive(uint8_t value) {
    input_[(input_first_ + input_count_) % kInputSize] = value;
    ++input_count_;
}

uint8_t Serial::identify_interrupt() {
    uint8_t identity = pending_interrupt();
    if (identity == kIdentityTransmit) transmit_interrupt_ = false;
    if ((fifo_control_ & kFifoEnable) != 0) identity |= kIdentityFifoEnabled;
    return identity;
}

uint8_t Serial::read_register(uint64_t offset) {
    switch (offset) {
        case kData:
            return divisor_latch() ? divisor_[0] : pop_input();
        case kInterruptEnable:
            return divisor_latch() ? divisor_[1] : interrupt_enable_;
        case kInterruptIdentity:
            return identify_interrupt();
        case kLineControl:
            return line_control_;
        case kModemControl:
            return modem_control_;
        case kLineStatus:
            return kTransmitEmpty | (input_count_ != 0 ? kDataReady : uint8_t{0});
        case kModemStatus: {
            if ((modem_control_ & kLoopback) == 0) return kModemReady;
            // DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
            const unsigned out = modem_control_;
            return static_cast<uint8_t>(((out & 1U) << 5U) | ((out & 2U) << 3U) |
                                        ((out & 4U) << 4U) | ((out & 8U) << 4U));
        }
        case kScratch:
            return scratch_;
        default:
            return 0xFF;
    }
}

void Serial::transmit(uint8_t value) {
    if ((modem_control_ & kLoopback) != 0) {
        if (input_count_ < kInputSize) receive(value);
    } else {
        const auto byte = std::byte{value};
        output_.write(std::span(&byte, 1));
    }
    transmit_interrupt_ = true;
}

void Serial::write_register(uint64_t offset, uint8_t value) {
    switch (offset) {
        case kData:
            if (divisor_latch())
                divisor_[0] = value;
            else
                transmit(value);
            break;
        case kInterruptEnable:
            if (divisor_latch()) {
                divisor_[1] = value;
                break;
            }
            // Enabling the interrupt of an empty THR raises it at once.
            if ((value & kEnableTransmit) != 0 && (interrupt_enable_ & kEnableTransmit) == 0)
                transmit_interrupt_ = true;
            interrupt_enable_ = value & kEnableMask;
            break;
        case kInterruptIdentity:
            fifo_control_ = value;
            if ((value & kFifoClearReceive) != 0) input_count_ = 0;
            break;
        case kLineControl:
            line_control_ = value;
            break;
        case kModemControl:
            modem_control_ = value & kModemControlMask;
            break;
        case kScratch:
            scratch_ = value;
            break;
        default:
            break;  // the status registers are read-only
    }
}

void Serial::read(uint64_t offset, std::span<std::byte> data) {
    const std::lock_guard lock(mutex_);
    std::fill(data.begin(), data.end(), std::byte{0});
    data[0] = std::byte{read_register(offset)};
    update_line();
    tell_of_room();
}

void Serial::write(uint64_t offset, std::span<const std::byte> data) {
    const std::lock_guard lock(mutex_);
    write_register(offset, std::to_integer<uint8_t>(data[0]));
    update_line();
    tell_of_room();
}

void Serial::sent(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    for (const std::byte byte : bytes)
        write_register(kData, std::to_integer<uint8_t>(byte));
    update_line();
}

size_t Serial::push(std::span<const std::byte> bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const size_t taken = std::min(bytes.size(), kInputSize - input_count_);
    for (const std::byte byte : bytes.first(taken))
        receive(std::to_integer<uint8_t>(byte));
    update_line();
    sender_waits_ = taken != bytes.size();
    return taken;
}

void Serial::on_room(std::function<void()> tell) {
    const std::lock_guard lock(mutex_);
    tell_room_ = std::move(tell);
}

// Not for each byte that is taken: the sender wakes for it.
void Serial::tell_of_room() {
    if (!sender_waits_ || input_count_ > kInputSize / 2) return;
    sender_waits_ = false;
    if (tell_room_) tell_room_();
}

}  // namespace mote
