#include "devices/serial.h"

#include <string>

#include "unit/catch.h"

using namespace mote;

namespace {

struct Text final : ConsoleOutput {
    void write(std::span<const std::byte> bytes) noexcept override {
        for (const std::byte byte : bytes)
            text += static_cast<char>(byte);
    }
    std::string text;
};

/// A driver's view of the port.
struct Port {
    uint8_t in(uint64_t offset) {
        std::byte value{};
        serial.read(offset, std::span(&value, 1));
        return std::to_integer<uint8_t>(value);
    }
    void out(uint64_t offset, uint8_t value) {
        const std::byte byte{value};
        serial.write(offset, std::span(&byte, 1));
    }
    size_t type(std::string_view text) { return serial.push(std::as_bytes(std::span(text))); }
    bool interrupted() { return serial.line().consume(); }

    Text output;
    Serial serial{output, EventFd::create().value()};
};

constexpr uint64_t kData = 0;
constexpr uint64_t kIer = 1;
constexpr uint64_t kIir = 2;
constexpr uint64_t kFcr = 2;
constexpr uint64_t kLcr = 3;
constexpr uint64_t kMcr = 4;
constexpr uint64_t kLsr = 5;
constexpr uint64_t kMsr = 6;

}  // namespace

TEST_CASE("Serial: what is sent comes out, and the sender is always ready") {
    Port port;
    for (const char letter : std::string("mote")) {
        CHECK((port.in(kLsr) & 0x60) == 0x60);
        port.out(kData, static_cast<uint8_t>(letter));
    }
    CHECK(port.output.text == "mote");
    CHECK_FALSE(port.interrupted());
}

TEST_CASE("Serial: enabling the transmit interrupt raises it, reading IIR takes it back") {
    Port port;
    port.out(kIer, 0x02);
    CHECK(port.interrupted());
    CHECK(port.in(kIir) == 0x02);
    CHECK(port.in(kIir) == 0x01);
    port.out(kData, 'x');
    CHECK(port.interrupted());
    CHECK(port.in(kIir) == 0x02);
    CHECK_FALSE(port.interrupted());
}

TEST_CASE("Serial: writes that KVM coalesced raise the transmit interrupt too") {
    Port port;
    port.out(kIer, 0x02);
    CHECK(port.in(kIir) == 0x02);
    CHECK(port.interrupted());
    port.serial.sent(std::as_bytes(std::span("abc", 3)));
    CHECK(port.output.text == "abc");
    CHECK(port.interrupted());
}

TEST_CASE("Serial: typed bytes interrupt, wait in a bounded FIFO and come out in order") {
    Port port;
    port.out(kFcr, 0x01);
    port.out(kIer, 0x01);
    CHECK(port.type("ab") == 2);
    CHECK(port.interrupted());
    CHECK(port.in(kIir) == (0xC0 | 0x04));
    CHECK((port.in(kLsr) & 1) == 1);
    CHECK(port.in(kData) == 'a');
    CHECK(port.in(kData) == 'b');
    CHECK(port.in(kIir) == (0xC0 | 0x01));
    CHECK((port.in(kLsr) & 1) == 0);

    const std::string flood(1000, 'z');
    CHECK(port.type(flood) == Serial::kInputSize);
    CHECK(port.type(flood) == 0);
    CHECK(port.in(kData) == 'z');
    CHECK(port.type(flood) == 1);
}

TEST_CASE("Serial: who was refused is told of room, once, when half of it is free") {
    Port port;
    unsigned told = 0;
    port.serial.on_room([&] { ++told; });
    CHECK(port.type(std::string(Serial::kInputSize, 'a')) == Serial::kInputSize);
    port.in(kData);
    CHECK(port.type("bc") == 1);  // refused: full again
    for (size_t i = 0; i < Serial::kInputSize / 2 - 1; ++i)
        port.in(kData);
    CHECK(told == 0);
    port.in(kData);
    CHECK(told == 1);
    for (size_t i = 0; i < Serial::kInputSize; ++i)
        port.in(kData);
    CHECK(told == 1);

    CHECK(port.type(std::string(100, 'd')) == Serial::kInputSize);
    port.out(kFcr, 0x03);  // the guest throws its input away
    CHECK(told == 2);
}

TEST_CASE("Serial: input that waited for the interrupt to be enabled raises it then") {
    Port port;
    CHECK(port.type("q") == 1);
    CHECK_FALSE(port.interrupted());
    port.out(kIer, 0x01);
    CHECK(port.interrupted());
}

TEST_CASE("Serial: the divisor hides data and interrupt enable while DLAB is set") {
    Port port;
    port.out(kLcr, 0x83);
    port.out(kData, 0x01);
    port.out(kIer, 0x02);
    CHECK(port.in(kData) == 0x01);
    CHECK(port.in(kIer) == 0x02);
    port.out(kLcr, 0x03);
    CHECK(port.output.text.empty());
    CHECK(port.in(kIer) == 0x00);
}

TEST_CASE("Serial: loopback brings bytes and modem lines back, nothing goes out") {
    Port port;
    port.out(kMcr, 0x1A);  // loopback, RTS, OUT2: what Linux's autoconfig checks
    CHECK((port.in(kMsr) & 0xF0) == 0x90);
    for (int i = 0; i < 200; ++i)
        port.out(kData, 'l');
    CHECK(port.output.text.empty());
    CHECK(port.in(kData) == 'l');
    port.out(kFcr, 0x03);
    CHECK((port.in(kLsr) & 1) == 0);
}

TEST_CASE("Serial: wide accesses touch one register and answer with zeroes above it") {
    Port port;
    std::array<std::byte, 4> word{};
    word.fill(std::byte{0xAA});
    port.serial.read(kLsr, word);
    CHECK(std::to_integer<int>(word[0]) == 0x60);
    CHECK(std::to_integer<int>(word[3]) == 0);
}
