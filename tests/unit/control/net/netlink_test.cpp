#include "control/net/netlink.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

#include "unit/catch.h"

using namespace mote;

namespace {

template <class T>
T at(std::span<const std::byte> bytes, size_t offset) {
    return read_value<T>(bytes.subspan(offset)).value();
}

}  // namespace

TEST_CASE("netlink messages and attributes lie as the kernel wants them") {
    NetlinkMessages messages;
    messages.begin(20, NLM_F_ACK, std::array<uint8_t, 4>{1, 2, 3, 4});
    messages.text(7, "ab");  // 3 bytes, padded to 4
    messages.nest(9, [&] { messages.number(1, 5); });
    messages.begin(21, NLM_F_DUMP, std::array<uint8_t, 4>{});
    messages.begin(22, 0, std::array<uint8_t, 4>{});
    CHECK(messages.answers() == 2);

    const auto all = messages.all();
    REQUIRE(all.size() == 40 + 20 + 20);
    const auto first = at<nlmsghdr>(all, 0);
    CHECK(first.nlmsg_len == 40);
    CHECK(first.nlmsg_type == 20);
    CHECK(first.nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
    CHECK(first.nlmsg_seq == 1);
    CHECK(at<nlattr>(all, 20).nla_len == 7);
    CHECK(at<std::array<char, 4>>(all, 24) == std::array<char, 4>{'a', 'b', 0, 0});
    CHECK(at<nlattr>(all, 28).nla_len == 12);
    CHECK(at<nlattr>(all, 28).nla_type == (9 | NLA_F_NESTED));
    CHECK(at<be32>(all, 36) == 5);
    CHECK(at<nlmsghdr>(all, 40).nlmsg_seq == 2);
    CHECK(at<nlmsghdr>(all, 60).nlmsg_len == 20);

    const auto attributes = all.subspan(20, 20);
    CHECK(find_attribute(attributes, 7)->size() == 3);
    CHECK(read_value<be32>(find_attribute(*find_attribute(attributes, 9), 1)) == be32(5));
    CHECK_FALSE(find_attribute(attributes, 8));
}

TEST_CASE("an attribute that does not lie in its message is not found") {
    for (const uint16_t length : {0, 3, 13, 65535}) {
        std::array<std::byte, 12> bytes{};
        std::memcpy(bytes.data(), &length, sizeof length);
        CHECK_FALSE(find_attribute(bytes, 0));
    }
    CHECK_FALSE(find_attribute({}, 0));
    CHECK_FALSE(read_value<uint32_t>(std::span<const std::byte>()));
}

TEST_CASE("the kernel answers: a dump, and an error") {
    auto socket = NetlinkSocket::create(NETLINK_ROUTE);
    REQUIRE(socket);
    NetlinkMessages list;
    list.begin(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    bool loopback = false;
    REQUIRE(socket->request(list, [&](uint16_t type, std::span<const std::byte> body) {
        const auto name = find_attribute(body.subspan(sizeof(ifinfomsg)), IFLA_IFNAME);
        if (type == RTM_NEWLINK && name && name->size() == 3)
            loopback = loopback || std::memcmp(name->data(), "lo", 3) == 0;
    }));
    CHECK(loopback);

    NetlinkMessages bad;
    ifinfomsg nobody{};
    nobody.ifi_index = 0x7FFFFFFF;
    bad.begin(RTM_GETLINK, NLM_F_ACK, nobody);
    const auto refused = socket->request(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ENODEV);
}
