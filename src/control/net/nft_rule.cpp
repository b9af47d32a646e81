#include "control/net/nft_rule.h"

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <bit>
#include <string>

namespace mote {

namespace {

constexpr uint32_t kRegister = NFT_REG_1;
// Offsets in an IPv4 header (RFC 791) and in UDP's and TCP's.
constexpr uint32_t kSource = 12;
constexpr uint32_t kDestination = 16;
constexpr uint32_t kDestinationPort = 2;

/// The first kind of user data, by which `nft` and `iptables` show a comment.
constexpr uint8_t kCommentType = 0;

void begin_batch_mark(NetlinkMessages& messages, uint16_t type) {
    const nfgenmsg header{.nfgen_family = AF_UNSPEC,
                          .version = NFNETLINK_V0,
                          .res_id = std::bit_cast<uint16_t>(be16(NFNL_SUBSYS_NFTABLES))};
    messages.begin(type, 0, header);
}

}  // namespace

void begin_nft(NetlinkMessages& messages, int type, uint16_t flags, uint8_t family) {
    const nfgenmsg header{.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0};
    messages.begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags, header);
}

void begin_nft_batch(NetlinkMessages& messages) {
    begin_batch_mark(messages, NFNL_MSG_BATCH_BEGIN);
}

void end_nft_batch(NetlinkMessages& messages) {
    begin_batch_mark(messages, NFNL_MSG_BATCH_END);
}

std::string_view nft_comment(std::span<const std::byte> user_data) {
    while (user_data.size() >= 2) {
        const auto type = std::to_integer<uint8_t>(user_data[0]);
        const auto size = std::to_integer<size_t>(user_data[1]);
        user_data = user_data.subspan(2);
        if (size > user_data.size()) break;
        if (type == kCommentType) {
            const std::string_view text(reinterpret_cast<const char*>(user_data.data()), size);
            return text.substr(0, text.find('\0'));
        }
        user_data = user_data.subspan(size);
    }
    return {};
}

NftRule::NftRule(NetlinkMessages& messages, const NftPlace& place) : messages_(messages) {
    const int where = place.at_end ? NLM_F_APPEND : 0;
    begin_nft(messages_, NFT_MSG_NEWRULE, static_cast<uint16_t>(NLM_F_CREATE | NLM_F_ACK | where),
              place.family);
    messages_.text(NFTA_RULE_TABLE, place.table);
    messages_.text(NFTA_RULE_CHAIN, place.chain);
    if (!place.comment.empty()) {
        std::string data{char{kCommentType}, static_cast<char>(place.comment.size() + 1)};
        data.append(place.comment).push_back('\0');
        messages_.bytes(NFTA_RULE_USERDATA, std::as_bytes(std::span(data)));
    }
    expressions_ = messages_.open(NFTA_RULE_EXPRESSIONS);
}

template <class Fill>
NftRule& NftRule::expression(std::string_view name, Fill&& fill) {
    messages_.nest(NFTA_LIST_ELEM, [&] {
        messages_.text(NFTA_EXPR_NAME, name);
        messages_.nest(NFTA_EXPR_DATA, fill);
    });
    return *this;
}

NftRule& NftRule::load_meta(uint32_t key) {
    return expression("meta", [&] {
        messages_.number(NFTA_META_DREG, kRegister);
        messages_.number(NFTA_META_KEY, key);
    });
}

NftRule& NftRule::load_address(uint32_t offset) {
    return expression("payload", [&] {
        messages_.number(NFTA_PAYLOAD_DREG, kRegister);
        messages_.number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
        messages_.number(NFTA_PAYLOAD_OFFSET, offset);
        messages_.number(NFTA_PAYLOAD_LEN, sizeof(be32));
    });
}

NftRule& NftRule::load_connection(uint32_t key) {
    return expression("ct", [&] {
        messages_.number(NFTA_CT_DREG, kRegister);
        messages_.number(NFTA_CT_KEY, key);
    });
}

NftRule& NftRule::mask(std::span<const std::byte> bits) {
    static constexpr std::array<std::byte, 16> kZeros{};
    return expression("bitwise", [&] {
        messages_.number(NFTA_BITWISE_SREG, kRegister);
        messages_.number(NFTA_BITWISE_DREG, kRegister);
        messages_.number(NFTA_BITWISE_LEN, static_cast<uint32_t>(bits.size()));
        messages_.nest(NFTA_BITWISE_MASK, [&] { messages_.bytes(NFTA_DATA_VALUE, bits); });
        messages_.nest(NFTA_BITWISE_XOR, [&] {
            messages_.bytes(NFTA_DATA_VALUE, std::span(kZeros).first(bits.size()));
        });
    });
}

/// The register, in the host's byte order, has one of `bits`.
NftRule& NftRule::any_of(uint32_t bits) {
    mask(std::as_bytes(std::span(&bits, 1)));
    return compare_value(Compare::unequal, uint32_t{0});
}

NftRule& NftRule::compare(Compare how, std::span<const std::byte> value) {
    return expression("cmp", [&] {
        messages_.number(NFTA_CMP_SREG, kRegister);
        messages_.number(NFTA_CMP_OP, how == Compare::equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
        messages_.nest(NFTA_CMP_DATA, [&] { messages_.bytes(NFTA_DATA_VALUE, value); });
    });
}

NftRule& NftRule::compare_device(uint32_t key, Compare how, std::string_view name) {
    // With the zeros behind it: else it would be the front of a longer name, too.
    std::array<char, IFNAMSIZ> padded{};
    name.copy(padded.data(), padded.size() - 1);
    return load_meta(key).compare_value(how, padded);
}

NftRule& NftRule::from_device(std::string_view name) {
    return compare_device(NFT_META_IIFNAME, Compare::equal, name);
}

NftRule& NftRule::to_device(std::string_view name) {
    return compare_device(NFT_META_OIFNAME, Compare::equal, name);
}

NftRule& NftRule::not_to_device(std::string_view name) {
    return compare_device(NFT_META_OIFNAME, Compare::unequal, name);
}

NftRule& NftRule::ipv4() {
    return load_meta(NFT_META_NFPROTO).compare_value(Compare::equal, uint8_t{NFPROTO_IPV4});
}

NftRule& NftRule::not_ipv4() {
    return load_meta(NFT_META_NFPROTO).compare_value(Compare::unequal, uint8_t{NFPROTO_IPV4});
}

NftRule& NftRule::source(Ipv4Address address) {
    return load_address(kSource).compare_value(Compare::equal, be32(address.value));
}

NftRule& NftRule::other_source(Ipv4Address address) {
    return load_address(kSource).compare_value(Compare::unequal, be32(address.value));
}

NftRule& NftRule::destination(const Ipv4Network& network) {
    load_address(kDestination);
    if (network.prefix < 32) {
        const be32 bits = network.mask();
        mask(std::as_bytes(std::span(&bits, 1)));
    }
    return compare_value(Compare::equal, be32(network.base.value & network.mask()));
}

NftRule& NftRule::protocol(uint8_t number) {
    return load_meta(NFT_META_L4PROTO).compare_value(Compare::equal, number);
}

NftRule& NftRule::destination_port(uint16_t port) {
    expression("payload", [&] {
        messages_.number(NFTA_PAYLOAD_DREG, kRegister);
        messages_.number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
        messages_.number(NFTA_PAYLOAD_OFFSET, kDestinationPort);
        messages_.number(NFTA_PAYLOAD_LEN, sizeof(be16));
    });
    return compare_value(Compare::equal, be16(port));
}

NftRule& NftRule::connection_state(uint32_t states) {
    return load_connection(NFT_CT_STATE).any_of(states);
}

NftRule& NftRule::connection_status(uint32_t status) {
    return load_connection(NFT_CT_STATUS).any_of(status);
}

NftRule& NftRule::counter() {
    return expression("counter", [] {});
}

void NftRule::verdict(uint32_t code) {
    expression("immediate", [&] {
        messages_.number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        messages_.nest(NFTA_IMMEDIATE_DATA, [&] {
            messages_.nest(NFTA_DATA_VERDICT, [&] { messages_.number(NFTA_VERDICT_CODE, code); });
        });
    });
}

void NftRule::accept() {
    verdict(NF_ACCEPT);
}

void NftRule::drop() {
    verdict(NF_DROP);
}

void NftRule::masquerade() {
    expression("masq", [] {});
}

}  // namespace mote
