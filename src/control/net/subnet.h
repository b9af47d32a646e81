// A small network of its own for a guest, one that the host does not know yet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/ipv4.h"

namespace mote {

/// Four addresses: network, host, guest, broadcast.
struct Subnet {
    Ipv4Network network;
    [[nodiscard]] Ipv4Address host() const { return {network.base.value + 1}; }
    [[nodiscard]] Ipv4Address guest() const { return {network.base.value + 2}; }
};

/// Numbers of subnets there are: 0 to one below.
inline constexpr uint32_t kSubnets = 16384;

/// The subnet `number` in the first of a few private ranges in which it overlaps none of `taken`,
/// or nothing. Two numbers never share an address, whatever is taken: who has the number (by the
/// name of a network device) has the subnet.
std::optional<Subnet> choose_subnet(uint32_t number, std::span<const Ipv4Network> taken);

}  // namespace mote
