// SerialOutput: where a serial port's bytes go.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace mote {

/// Takes what the guest prints. Called on vCPU threads and on the thread that drains coalesced
/// writes, one call at a time; must not block: what finds no room is dropped by the receiver.
class SerialOutput {
  public:
    SerialOutput() = default;
    SerialOutput(const SerialOutput&) = delete;
    SerialOutput& operator=(const SerialOutput&) = delete;
    virtual ~SerialOutput() = default;

    virtual void write(std::span<const std::byte> bytes) noexcept = 0;
};

/// Where typed bytes go: the serial port's bounded input. Any thread; never blocks.
class SerialInput {
  public:
    SerialInput() = default;
    SerialInput(const SerialInput&) = delete;
    SerialInput& operator=(const SerialInput&) = delete;
    virtual ~SerialInput() = default;

    /// Takes as many bytes as there is room for and says how many; the sender keeps the rest and
    /// tries again when it is told of room (the guest empties the port in its own time).
    virtual size_t push(std::span<const std::byte> bytes) noexcept = 0;

    /// `tell` is called when there is room again after a push() that did not take all: on a vCPU's
    /// thread, so it must not block. It stays valid as long as the guest runs. Before the first
    /// push().
    virtual void on_room(std::function<void()> tell) = 0;
};

}  // namespace mote
