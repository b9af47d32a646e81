#include "control/net/host_routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "control/net/netlink.h"

namespace mote {

namespace {

constexpr unsigned kLeastPrefix = 8;
// Even a host with a provider's full table has room for these; what is beyond is not looked at.
constexpr size_t kMaxRoutes = size_t{1} << 21U;

void add_route(HostRoutes& routes, std::span<const std::byte> body) {
    const auto route = read_value<rtmsg>(body);
    if (!route || route->rtm_family != AF_INET || routes.networks.size() >= kMaxRoutes) return;
    const auto attributes = body.subspan(NLMSG_ALIGN(sizeof(rtmsg)));
    if (route->rtm_dst_len == 0 && route->rtm_type == RTN_UNICAST) {
        const auto device = read_value<int>(find_attribute(attributes, RTA_OIF));
        if (device && std::ranges::find(routes.uplinks, *device) == routes.uplinks.end())
            routes.uplinks.push_back(*device);
    }
    const auto destination = read_value<be32>(find_attribute(attributes, RTA_DST));
    if (destination && route->rtm_dst_len >= kLeastPrefix && route->rtm_dst_len <= 32)
        routes.networks.push_back({{*destination}, route->rtm_dst_len});
}

}  // namespace

Result<HostRoutes> read_host_routes() {
    NetlinkSocket socket = TRY(NetlinkSocket::create(NETLINK_ROUTE));
    rtmsg all{};
    all.rtm_family = AF_INET;
    NetlinkMessages messages;
    messages.begin(RTM_GETROUTE, NLM_F_DUMP, all);
    HostRoutes routes;
    TRY(socket.request(messages, [&](uint16_t type, std::span<const std::byte> body) {
        if (type == RTM_NEWROUTE) add_route(routes, body);
    }));
    return routes;
}

Result<> add_address(int index, Ipv4Address address, unsigned prefix) {
    NetlinkSocket socket = TRY(NetlinkSocket::create(NETLINK_ROUTE));
    ifaddrmsg header{};
    header.ifa_family = AF_INET;
    header.ifa_prefixlen = static_cast<uint8_t>(prefix);
    header.ifa_index = static_cast<unsigned>(index);
    NetlinkMessages messages;
    messages.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, header);
    messages.number(IFA_LOCAL, address.value);
    messages.number(IFA_ADDRESS, address.value);
    return socket.request(messages);
}

}  // namespace mote
