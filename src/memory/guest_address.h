// GuestAddress: a guest physical address, kept apart from sizes and host pointers.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace mote {

/// A guest physical address in bytes.
struct GuestAddress {
    uint64_t value = 0;

    auto operator<=>(const GuestAddress&) const = default;
};

/// `address` moved up by `offset` bytes; nothing where that leaves the 64-bit space.
[[nodiscard]] constexpr std::optional<GuestAddress> checked_add(GuestAddress address,
                                                                uint64_t offset) {
    uint64_t sum = 0;
    if (__builtin_add_overflow(address.value, offset, &sum)) return std::nullopt;
    return GuestAddress{sum};
}

}  // namespace mote
