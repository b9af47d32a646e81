#include "control/net/nft_rule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <string>
#include <vector>

#include "control/net/guest_table.h"
#include "unit/catch.h"

using namespace mote;

namespace {

using Bytes = std::span<const std::byte>;

/// Calls `each` for every attribute in `bytes`.
template <class Each>
void for_each(Bytes bytes, Each&& each) {
    while (const auto header = read_value<nlattr>(bytes)) {
        REQUIRE(header->nla_len >= sizeof(nlattr));
        REQUIRE(header->nla_len <= bytes.size());
        each(bytes.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr)));
        bytes = bytes.subspan(NLMSG_ALIGN(header->nla_len));
    }
}

std::string text(std::optional<Bytes> bytes) {
    if (!bytes) return "";
    return {reinterpret_cast<const char*>(bytes->data())};
}

uint32_t number(Bytes bytes, uint16_t type) {
    return read_value<be32>(find_attribute(bytes, type)).value_or(0xDEAD);
}

std::string hex(std::optional<Bytes> bytes) {
    std::string digits;
    for (const std::byte byte : bytes.value())
        digits += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    return digits;
}

Bytes value_in(Bytes data, uint16_t type) {
    return find_attribute(find_attribute(data, type).value(), NFTA_DATA_VALUE).value();
}

/// An expression in short: what it loads, compares or does.
std::string expression(Bytes element) {
    const std::string name = text(find_attribute(element, NFTA_EXPR_NAME));
    const Bytes data = find_attribute(element, NFTA_EXPR_DATA).value();
    if (name == "meta") return fmt::format("meta{}", number(data, NFTA_META_KEY));
    if (name == "ct") return fmt::format("ct{}", number(data, NFTA_CT_KEY));
    if (name == "payload")
        return fmt::format("payload{}+{}/{}", number(data, NFTA_PAYLOAD_BASE),
                           number(data, NFTA_PAYLOAD_OFFSET), number(data, NFTA_PAYLOAD_LEN));
    if (name == "bitwise") return "&" + hex(value_in(data, NFTA_BITWISE_MASK));
    if (name == "cmp")
        return (number(data, NFTA_CMP_OP) == NFT_CMP_EQ ? "==" : "!=") +
               hex(value_in(data, NFTA_CMP_DATA));
    if (name != "immediate") return name;
    const Bytes verdict =
        find_attribute(find_attribute(data, NFTA_IMMEDIATE_DATA).value(), NFTA_DATA_VERDICT)
            .value();
    return number(verdict, NFTA_VERDICT_CODE) == NF_ACCEPT ? "accept" : "drop";
}

/// The messages of a batch, one string each; rules by their expressions.
std::vector<std::string> describe(const NetlinkMessages& messages) {
    std::vector<std::string> lines;
    Bytes left = messages.all();
    while (const auto header = read_value<nlmsghdr>(left)) {
        const Bytes body = left.subspan(20, header->nlmsg_len - 20);
        std::string line = fmt::format("{}", header->nlmsg_type & 0xFF);
        if (header->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE)) {
            line = text(find_attribute(body, NFTA_RULE_CHAIN)) + ":";
            for_each(find_attribute(body, NFTA_RULE_EXPRESSIONS).value(),
                     [&](Bytes element) { line += " " + expression(element); });
        }
        lines.push_back(line);
        left = left.subspan(header->nlmsg_len);
    }
    return lines;
}

}  // namespace

TEST_CASE("a rule: each condition loads and compares") {
    NetlinkMessages messages;
    NftRule(messages, {.family = NFPROTO_INET, .table = "t", .chain = "c"})
        .from_device("mote0")
        .ipv4()
        .destination({{0xA9FEFFFF}, 16})
        .protocol(17)
        .destination_port(53)
        .counter()
        .drop();
    CHECK(describe(messages).at(0) ==
          "c: meta6 ==6d6f7465300000000000000000000000 meta15 ==02 payload1+16/4 &ffff0000 "
          "==a9fe0000 meta16 ==11 payload2+2/2 ==0035 counter drop");
}

TEST_CASE("a rule: its place and comment") {
    NetlinkMessages messages;
    NftRule(messages, {.family = NFPROTO_IPV4,
                       .table = "filter",
                       .chain = "DOCKER-USER",
                       .at_end = false,
                       .comment = "mote:mote7"})
        .to_device("mote7")
        .accept();
    const Bytes body = messages.all().subspan(20);
    CHECK((read_value<nlmsghdr>(messages.all())->nlmsg_flags & NLM_F_APPEND) == 0);
    CHECK(text(find_attribute(body, NFTA_RULE_TABLE)) == "filter");
    const Bytes data = find_attribute(body, NFTA_RULE_USERDATA).value();
    CHECK(hex(data) == "000b6d6f74653a6d6f74653700");
    CHECK(nft_comment(data) == "mote:mote7");
    CHECK(nft_comment(data.first(5)).empty());
    CHECK(nft_comment({}).empty());
}

TEST_CASE("a guest's table: what it sends, what it gets, and NAT") {
    const GuestTable table{.device = "mote3",
                           .guest = {.address = {0x0AD5000E},
                                     .prefix = 30,
                                     .router = {0x0AD5000D},
                                     .name_servers = {{0x08080808}, {0xA9FEA9FD}}}};
    const std::string device = "6d6f7465330000000000000000000000";
    const NetlinkMessages messages = guest_table(table);
    const auto kind = [](int type) { return std::to_string(type); };
    const std::vector<std::string> expected{
        kind(NFNL_MSG_BATCH_BEGIN), kind(NFT_MSG_NEWTABLE), kind(NFT_MSG_NEWCHAIN),
        "from-guest: meta6 ==" + device + " meta15 !=02 drop",
        "from-guest: meta6 ==" + device + " payload1+12/4 !=0ad5000e drop",
        // 169.254.169.253 is a name server: it may be asked, and no more.
        "from-guest: meta6 ==" + device +
            " payload1+16/4 ==a9fea9fd meta16 ==11 payload2+2/2 "
            "==0035 accept",
        "from-guest: meta6 ==" + device +
            " payload1+16/4 ==a9fea9fd meta16 ==06 payload2+2/2 "
            "==0035 accept",
        "from-guest: meta6 ==" + device + " payload1+16/4 &ffff0000 ==a9fe0000 drop",
        kind(NFT_MSG_NEWCHAIN), "to-guest: meta7 ==" + device + " ct0 &06000000 !=00000000 accept",
        "to-guest: meta7 ==" + device + " ct2 &20000000 !=00000000 accept",
        "to-guest: meta7 ==" + device + " drop", kind(NFT_MSG_NEWCHAIN),
        "nat: meta15 ==02 payload1+12/4 ==0ad5000e meta7 !=" + device + " masq",
        kind(NFNL_MSG_BATCH_END)};
    CHECK(describe(messages) == expected);
    CHECK(messages.answers() == expected.size() - 2);
    const Bytes new_table = messages.all().subspan(20 + 20);
    CHECK(number(new_table, NFTA_TABLE_FLAGS) == NFT_TABLE_F_OWNER);
}
