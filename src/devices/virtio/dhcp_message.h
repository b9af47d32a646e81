// DHCP (RFC 2131, 2132) in Ethernet frames: a client's message taken apart, a server's put
// together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ipv4.h"

namespace mote {

/// Option 53 (RFC 2132, 9.6).
enum class DhcpType : uint8_t {
    discover = 1,
    offer = 2,
    request = 3,
    decline = 4,
    ack = 5,
    nak = 6,
    release = 7,
    inform = 8,
};

/// What a server needs to know of a client's message.
struct DhcpQuery {
    DhcpType type;
    uint32_t transaction;
    std::array<uint8_t, 6> client;         ///< chaddr: no group's address
    bool broadcast;                        ///< the client cannot take a frame for its address yet
    Ipv4Address current;                   ///< ciaddr: the address it has, or 0.0.0.0
    std::optional<Ipv4Address> requested;  ///< option 50
    std::optional<Ipv4Address> server;     ///< option 54: whom it has chosen
};

struct DhcpAnswer {
    DhcpType type;
    bool with_address;  ///< false for a nak, and for the answer to an inform
    std::array<uint8_t, 6> server_mac;
    uint32_t lease_seconds;
    std::optional<uint16_t> mtu;
};

/// Where a frame that begins with `head` (82 bytes of it, or all) goes, if it is UDP over IPv4 to a
/// DHCP server's port, unfragmented, as anything is that parse_dhcp() takes; else nothing.
[[nodiscard]] std::optional<Ipv4Address> dhcp_destination(std::span<const std::byte> head);

/// A client's message, or nothing where the frame is not one, whole and straight from an Ethernet
/// client (no relay's). Of hostile origin: reads nothing outside of `frame`.
[[nodiscard]] std::optional<DhcpQuery> parse_dhcp(std::span<const std::byte> frame);

/// The frame that answers `query` (RFC 2131, 4.1 and 4.3), of less than 1 KiB. The server is
/// `setup.router`; of the name servers the first eight are told.
[[nodiscard]] std::vector<std::byte> build_dhcp(const DhcpQuery& query, const DhcpAnswer& answer,
                                                const Ipv4Setup& setup);

}  // namespace mote
