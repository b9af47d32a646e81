#include "control/net/subnet.h"

#include <vector>

#include "unit/catch.h"

using namespace mote;

TEST_CASE("a subnet has four addresses, of which the host has the first") {
    const Subnet first = choose_subnet(0, {}).value();
    CHECK(to_string(first.network.base) == "10.213.0.0");
    CHECK(first.network.prefix == 30);
    CHECK(to_string(first.host()) == "10.213.0.1");
    CHECK(to_string(first.guest()) == "10.213.0.2");
    CHECK(to_string(choose_subnet(1, {})->guest()) == "10.213.0.6");
    CHECK(to_string(choose_subnet(kSubnets - 1, {})->guest()) == "10.213.255.254");
}

TEST_CASE("what the host knows already is left alone") {
    std::vector<Ipv4Network> taken{{{0x0AD50002}, 32}};  // an address
    CHECK(to_string(choose_subnet(0, taken)->host()) == "172.29.0.1");
    CHECK(to_string(choose_subnet(1, taken)->host()) == "10.213.0.5");
    taken.push_back({{0x0A000000}, 8});  // a company's network
    CHECK(to_string(choose_subnet(1, taken)->host()) == "172.29.0.5");
    taken.push_back({{0xAC100000}, 12});
    CHECK(to_string(choose_subnet(1, taken)->host()) == "192.168.0.5");
    taken.push_back({{0xC0A80000}, 24});
    CHECK_FALSE(choose_subnet(1, taken));
    CHECK(to_string(choose_subnet(64, taken)->host()) == "192.168.1.1");
}

TEST_CASE("two numbers share no address, whatever is taken") {
    const std::vector<std::vector<Ipv4Network>> hosts{
        {}, {{{0x0A000000}, 8}}, {{{0x0A000000}, 8}, {{0xAC100000}, 12}}};
    for (const auto& one : hosts)
        for (const auto& other : hosts)
            for (const uint32_t number : {0U, 1U, 63U, 64U, kSubnets - 2})
                CHECK_FALSE(choose_subnet(number, one)
                                ->network.overlaps(choose_subnet(number + 1, other)->network));
}
