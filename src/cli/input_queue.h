// InputQueue: typed bytes that wait for room in the serial port.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "devices/console_io.h"

namespace mote {

/// Bounded; one thread's.
class InputQueue {
  public:
    static constexpr size_t kCapacity = 4096;

    /// Keeps `bytes` behind those that wait already; what finds no room is dropped.
    void add(std::span<const std::byte> bytes);
    /// Hands `port` what it takes; for the rest it is worth another try once the port tells of
    /// room.
    void offer(ConsoleInput& port);

    [[nodiscard]] bool empty() const { return waiting_.empty(); }

  private:
    std::vector<std::byte> waiting_;
};

}  // namespace mote
