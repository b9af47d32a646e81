// Rules in Docker's chain for the host's own ones, since Docker makes the host forward for nobody
// else.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "control/net/netlink.h"

namespace mote {

/// What a host's firewall in the table `ip filter` (iptables) says about forwarding.
struct ForwardPolicy {
    bool drops = false;   ///< what no rule of chain FORWARD accepts
    bool docker = false;  ///< there is a chain DOCKER-USER
};

/// Errors: the host's. `socket` speaks NETLINK_NETFILTER, here and below.
Result<ForwardPolicy> read_forward_policy(NetlinkSocket& socket);

/// Lets the guest on `device` send to `uplinks` and receive (what may come in, its own table
/// decides): rules at the front of DOCKER-USER, with a comment that names `device`. They live in a
/// table that is not ours, and stay when mote is killed.
Result<> add_docker_rules(NetlinkSocket& socket, const std::string& device,
                          const std::vector<std::string>& uplinks);

/// Removes from DOCKER-USER mote's rules for `device`, and those for devices that are no more.
Result<> remove_docker_rules(NetlinkSocket& socket, const std::string& device);

}  // namespace mote
