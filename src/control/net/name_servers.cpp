#include "control/net/name_servers.h"

#include <algorithm>

#include "base/small_file.h"

namespace mote {

namespace {

constexpr std::string_view kBlank = " \t\r";

/// The next word of `line`, which loses it; empty where there is none.
std::string_view take_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    const std::string_view word = line.substr(0, line.find_first_of(kBlank));
    line.remove_prefix(word.size());
    return word;
}

bool is_of_this_host(Ipv4Address address) {
    return address.value >> 24U == 127 || address.value >> 24U == 0;
}

}  // namespace

std::vector<Ipv4Address> parse_resolv_conf(std::string_view text) {
    std::vector<Ipv4Address> servers;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (take_word(line) != "nameserver") continue;
        const auto address = parse_ipv4(take_word(line));
        if (!address || is_of_this_host(*address)) continue;
        if (std::ranges::find(servers, *address) == servers.end()) servers.push_back(*address);
    }
    return servers;
}

std::vector<Ipv4Address> host_name_servers() {
    for (const char* path : {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf",
                             "/run/NetworkManager/no-stub-resolv.conf"}) {
        std::vector<Ipv4Address> servers = parse_resolv_conf(read_small_file(path));
        if (!servers.empty()) return servers;
    }
    return {};
}

}  // namespace mote
