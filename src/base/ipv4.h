// IPv4 addresses and networks, as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mote {

struct Ipv4Address {
    uint32_t value = 0;  ///< 10.0.0.1 is 0x0A000001
    auto operator<=>(const Ipv4Address&) const = default;
};

/// "10.0.0.1".
std::string to_string(Ipv4Address address);
/// Four decimal numbers with dots between them, and nothing else.
std::optional<Ipv4Address> parse_ipv4(std::string_view text);

struct Ipv4Network {
    Ipv4Address base;      ///< only its first `prefix` bits count
    unsigned prefix = 32;  ///< 0 to 32
    [[nodiscard]] uint32_t mask() const { return prefix == 0 ? 0 : UINT32_MAX << (32U - prefix); }
    [[nodiscard]] bool contains(Ipv4Address address) const {
        return ((address.value ^ base.value) & mask()) == 0;
    }
    /// True where the two share an address: one then lies within the other.
    [[nodiscard]] bool overlaps(const Ipv4Network& other) const {
        return ((base.value ^ other.base.value) & mask() & other.mask()) == 0;
    }
};

/// How a host is to set up its network: what DHCP tells it.
struct Ipv4Setup {
    Ipv4Address address;
    unsigned prefix = 32;
    Ipv4Address router;
    std::vector<Ipv4Address> name_servers;
};

}  // namespace mote
