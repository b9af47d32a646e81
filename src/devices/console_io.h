// The two ways of a console: what COM1 and the virtio console print, and what is typed for them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace mote {

/// Takes what the guest prints. Called on vCPU threads and on the worker's, one call at a time;
/// must not block: what finds no room is dropped by the receiver.
class ConsoleOutput {
  public:
    ConsoleOutput() = default;
    ConsoleOutput(const ConsoleOutput&) = delete;
    ConsoleOutput& operator=(const ConsoleOutput&) = delete;
    virtual ~ConsoleOutput() = default;

    virtual void write(std::span<const std::byte> bytes) noexcept = 0;
};

/// Where typed bytes go: a device's bounded input. Any thread; never blocks.
class ConsoleInput {
  public:
    ConsoleInput() = default;
    ConsoleInput(const ConsoleInput&) = delete;
    ConsoleInput& operator=(const ConsoleInput&) = delete;
    virtual ~ConsoleInput() = default;

    /// Takes as many bytes as there is room for and says how many; the sender keeps the rest and
    /// tries again when it is told of room (the guest reads in its own time).
    virtual size_t push(std::span<const std::byte> bytes) noexcept = 0;

    /// `tell` is called when there is room again after a push() that did not take all: on a vCPU's
    /// or the worker's thread, so it must not block. It stays valid as long as the guest runs.
    /// Before the first push().
    virtual void on_room(std::function<void()> tell) = 0;
};

}  // namespace mote
