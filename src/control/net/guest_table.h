// The nftables table that stands between a guest and the rest of the world.
#pragma once

#include <string>

#include "base/ipv4.h"
#include "control/net/netlink.h"

namespace mote {

struct GuestTable {
    std::string device;  ///< the guest's TAP, and the name of the table
    Ipv4Setup guest;
};

/// The batch that makes the table. It goes when the socket is closed that the batch was sent by
/// (NFT_TABLE_F_OWNER, Linux 5.12), and nobody else can change it.
/// - From the guest passes IPv4 from its own address, but to link-local ones (where clouds have
///   their metadata services) only what asks a name server.
/// - To the guest is forwarded what belongs to its own connections, and what a rule of the host's
///   redirects to it. The host itself reaches it.
/// - What the guest sends beyond the host gets the host's address.
NetlinkMessages guest_table(const GuestTable& table);

}  // namespace mote
