#include "control/net/auto_network.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/small_file.h"
#include "control/net/docker_rules.h"
#include "control/net/guest_table.h"
#include "control/net/host_routes.h"
#include "control/net/name_servers.h"
#include "control/net/subnet.h"
#include "control/tap_file.h"

namespace mote {

namespace {

constexpr const char* kForwarding = "/proc/sys/net/ipv4/ip_forward";
constexpr std::string_view kNoRights =
    "; auto needs root (or CAP_NET_ADMIN): use sudo, or --net user, which needs no rights";

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return request;
}

/// Makes the TAP `name` on `tun`; false where there is a device of that name.
Result<bool> make_tap(std::string_view what, const UniqueFd& tun, const std::string& name) {
    ifreq request = request_for(name);
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    if (::ioctl(tun.get(), TUNSETIFF, &request) == 0) return true;
    if (errno == EBUSY) return false;
    const int code = errno;
    std::unexpected<Error> failure = fail_code(code, "{}: cannot make a TAP", what);
    if (code == EPERM || code == EACCES) failure.error().message += kNoRights;
    return failure;
}

struct Claim {
    std::string device;
    Subnet subnet;
    UniqueFd tap;
    NetlinkSocket netfilter;
};

std::unexpected<Error> table_failed(std::string_view what, const Error& why) {
    std::string message = fmt::format("{}: cannot set up NAT: {}", what, why.message);
    if (why.code == EPERM)
        message += kNoRights;
    else
        message +=
            "; auto needs Linux 5.12 with nf_tables, nft_chain_nat, nft_masq and nft_ct: "
            "sudo modprobe -a nf_tables nft_chain_nat nft_masq nft_ct";
    return std::unexpected(Error{std::move(message), why.code});
}

/// The first number of which nobody has the device, and with it the subnet and the table.
Result<Claim> claim(std::string_view what, const std::vector<Ipv4Network>& taken,
                    const std::vector<Ipv4Address>& name_servers) {
    // The socket before the TAP: a process that is killed closes them in this order, so the table
    // is gone before the name is free.
    auto netfilter = NetlinkSocket::create(NETLINK_NETFILTER);
    if (!netfilter) return table_failed(what, netfilter.error());
    UniqueFd tun = TRY(open_tun(what, kNoRights));
    for (uint32_t number = 0; number < kSubnets; ++number) {
        const auto subnet = choose_subnet(number, taken);
        const std::string device = fmt::format("mote{}", number);
        if (!subnet || !TRY(make_tap(what, tun, device))) continue;
        const auto made = netfilter->request(
            guest_table({.device = device,
                         .guest = {.address = subnet->guest(), .name_servers = name_servers}}));
        if (made) return Claim{device, *subnet, std::move(tun), *std::move(netfilter)};
        // Somebody's table of that name: it stays theirs.
        if (made.error().code != EEXIST) return table_failed(what, made.error());
        tun = TRY(open_tun(what, kNoRights));
    }
    return fail("{}: none of {} small subnets is free: each overlaps a route of this host's", what,
                kSubnets);
}

Result<> change_device(std::string_view what, const std::string& device, unsigned long change,
                       ifreq& request, std::string_view tried) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.valid() && ::ioctl(socket.get(), change, &request) == 0) return {};
    return fail_errno("{}: cannot {} of {}", what, tried, device);
}

/// Routers are made by one switch for the whole network namespace.
Result<> forward_packets(std::string_view what) {
    if (read_small_file(kForwarding) == "1") return {};
    const UniqueFd file(::open(kForwarding, O_WRONLY | O_CLOEXEC));
    if (!file.valid() || ::write(file.get(), "1", 1) != 1) {
        std::unexpected<Error> failure =
            fail_errno("{}: cannot make the host forward packets ({})", what, kForwarding);
        failure.error().message +=
            "; let an administrator do it: sudo sysctl net.ipv4.ip_forward=1";
        return failure;
    }
    log_message(LogLevel::warning,
                "{}: net.ipv4.ip_forward was 0 and is 1 now: this host forwards packets, also when "
                "mote has ended",
                what);
    return {};
}

}  // namespace

Result<AutoNetwork> AutoNetwork::create(std::string_view what, std::optional<uint16_t> mtu) {
    std::vector<Ipv4Address> name_servers = host_name_servers();
    if (name_servers.empty())
        log_message(LogLevel::warning,
                    "{}: the host knows no name server that a guest can reach: it gets none", what);
    const auto routes = read_host_routes();
    if (!routes) return fail("{}: cannot read the host's routes: {}", what, routes.error().message);
    Claim claimed = TRY(claim(what, routes->networks, name_servers));
    const Subnet& subnet = claimed.subnet;
    AutoNetwork network(std::move(claimed.device),
                        {.address = subnet.guest(),
                         .prefix = subnet.network.prefix,
                         .router = subnet.host(),
                         .name_servers = std::move(name_servers)},
                        std::move(claimed.tap), std::move(claimed.netfilter));
    TRY(network.set_up(what, mtu));
    TRY(network.pass_docker(what, routes->uplinks));
    return network;
}

Result<> AutoNetwork::set_up(std::string_view what, std::optional<uint16_t> mtu) {
    ifreq request = request_for(device_);
    if (mtu) {
        request.ifr_mtu = *mtu;
        TRY(change_device(what, device_, SIOCSIFMTU, request,
                          fmt::format("set the MTU ({})", *mtu)));
    }
    const auto index = static_cast<int>(::if_nametoindex(device_.c_str()));
    if (const auto added = add_address(index, guest_.router, guest_.prefix); !added)
        return fail_code(added.error().code, "{}: cannot give {} the address {}", what, device_,
                         to_string(guest_.router));
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    TRY(change_device(what, device_, SIOCSIFFLAGS, request, "change the state"));
    return forward_packets(what);
}

Result<> AutoNetwork::pass_docker(std::string_view what, const std::vector<int>& uplinks) {
    const auto policy = read_forward_policy(netfilter_);
    // A host that cannot tell has no such chain: nothing stands in the way.
    if (!policy) return {};
    std::vector<std::string> names;
    for (const int uplink : uplinks) {
        char name[IF_NAMESIZE] = "";
        if (::if_indextoname(static_cast<unsigned>(uplink), name) != nullptr)
            names.emplace_back(name);
    }
    if (policy->docker) {
        auto done = remove_docker_rules(netfilter_, device_);
        if (done && policy->drops) done = add_docker_rules(netfilter_, device_, names);
        if (!done)
            return fail("{}: cannot change Docker's chain DOCKER-USER: {}", what,
                        done.error().message);
        in_docker_chain_ = policy->drops;
    } else if (policy->drops) {
        log_message(LogLevel::warning,
                    "{}: this host's firewall forwards nothing: the guest reaches only the host, "
                    "until: sudo iptables -I FORWARD -i {} -j ACCEPT; sudo iptables -I FORWARD -o "
                    "{} -j ACCEPT",
                    what, device_, device_);
    }
    return {};
}

void AutoNetwork::remove() {
    if (!std::exchange(in_docker_chain_, false)) return;
    // Where it fails the next network's start will do it.
    static_cast<void>(remove_docker_rules(netfilter_, device_).has_value());
}

Result<> probe_nftables() {
    NetlinkSocket socket = TRY(NetlinkSocket::create(NETLINK_NETFILTER));
    const GuestTable probe{.device = fmt::format("mote-check-{}", ::getpid()), .guest = {}};
    return socket.request(guest_table(probe));
}

}  // namespace mote
