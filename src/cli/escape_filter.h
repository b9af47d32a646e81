// EscapeFilter: finds mote's own keys among what a person types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace mote {

enum class EscapeAction : uint8_t { quit, help };

/// Ctrl-A begins a command: x quits, h or ? helps, a second Ctrl-A or a sends one Ctrl-A. Before
/// any other key the Ctrl-A goes to the guest like the key itself.
class EscapeFilter {
  public:
    /// Appends to `to_guest` what of `typed` is the guest's, and calls `act` for each command.
    void feed(std::span<const std::byte> typed, std::vector<std::byte>& to_guest,
              const std::function<void(EscapeAction)>& act);

  private:
    bool prefix_seen_ = false;
};

}  // namespace mote
