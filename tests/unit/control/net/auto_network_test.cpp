#include "control/net/auto_network.h"

#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "control/net/docker_rules.h"
#include "control/net/host_routes.h"
#include "unit/catch.h"

using namespace mote;

namespace {

/// Runs `test` on a thread in a network namespace of its own; false where that is forbidden.
template <class Test>
bool in_own_network(Test&& test) {
    bool entered = false;
    std::thread([&] {
        // /proc/sys/net shows the network of the thread that looks.
        entered = ::unshare(CLONE_NEWNET) == 0 && ::access("/dev/net/tun", R_OK | W_OK) == 0;
        if (entered) test();
    }).join();
    if (!entered) WARN("NETWORKS NOT TESTED: this process may not make one");
    return entered;
}

}  // namespace

TEST_CASE("AutoNetwork: two at once, and nothing is left of them") {
    in_own_network([] {
        REQUIRE(probe_nftables());
        {
            auto first = AutoNetwork::create("net0", std::nullopt);
            REQUIRE(first);
            auto second = AutoNetwork::create("net1", uint16_t{9000});
            REQUIRE(second);
            CHECK(first->device() == "mote0");
            CHECK(second->device() == "mote1");
            CHECK(to_string(first->guest().router) == "10.213.0.1");
            CHECK(to_string(second->guest().address) == "10.213.0.6");
            const UniqueFd tap = first->take_tap();
            CHECK(tap.valid());
            const HostRoutes routes = read_host_routes().value();
            for (const AutoNetwork* each : {&*first, &*second})
                CHECK(std::ranges::any_of(routes.networks, [&](const Ipv4Network& network) {
                    return network.prefix == 32 && network.base == each->guest().router;
                }));
        }
        CHECK(::if_nametoindex("mote1") == 0);
        CHECK(read_host_routes()->networks.empty());
    });
}

TEST_CASE("AutoNetwork: names and subnets that others have are passed over") {
    in_own_network([] {
        auto first = AutoNetwork::create("net0", std::nullopt);
        REQUIRE(first);
        // Somebody takes the second subnet's address on another device.
        const int index = static_cast<int>(::if_nametoindex("mote0"));
        REQUIRE(add_address(index, {0x0AD50005}, 24));
        auto second = AutoNetwork::create("net1", std::nullopt);
        REQUIRE(second);
        CHECK(second->device() == "mote1");
        CHECK(to_string(second->guest().router) == "172.29.0.5");
    });
}

TEST_CASE("AutoNetwork: a host without Docker has no such chain") {
    in_own_network([] {
        auto socket = NetlinkSocket::create(NETLINK_NETFILTER);
        REQUIRE(socket);
        const auto policy = read_forward_policy(*socket);
        REQUIRE(policy);
        CHECK_FALSE(policy->drops);
        CHECK_FALSE(policy->docker);
    });
}
