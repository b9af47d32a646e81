// What the host's own network looks like, and how a device of it gets an address.
#pragma once

#include <vector>

#include "base/ipv4.h"
#include "base/result.h"

namespace mote {

struct HostRoutes {
    /// IPv4 networks that have a route or an address of the host's. Shorter prefixes than 8 bits
    /// mean the rest of the world, not a network that must be left alone.
    std::vector<Ipv4Network> networks;
    /// Indices of the devices that default routes lead to, each once.
    std::vector<int> uplinks;
};

/// As it is now, from all routing tables (the local one has the addresses). Errors: the host's.
Result<HostRoutes> read_host_routes();

/// Gives the network device `index` an address in `network`, and its route with it.
Result<> add_address(int index, Ipv4Address address, unsigned prefix);

}  // namespace mote
