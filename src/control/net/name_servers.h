// The name servers that a guest can use: those of the host, as far as the guest can reach them.
#pragma once

#include <string_view>
#include <vector>

#include "base/ipv4.h"

namespace mote {

/// The IPv4 name servers of a resolv.conf(5), in their order, each once; without those of the
/// host's loopback (127/8, 0/8), where a guest would find itself.
std::vector<Ipv4Address> parse_resolv_conf(std::string_view text);

/// Those of the host: /etc/resolv.conf's, or where it names the loopback only, those that a local
/// resolver itself asks (systemd-resolved, NetworkManager). Empty where none is known.
std::vector<Ipv4Address> host_name_servers();

}  // namespace mote
