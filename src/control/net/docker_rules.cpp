#include "control/net/docker_rules.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>

#include "control/net/nft_rule.h"

namespace mote {

namespace {

constexpr uint8_t kFamily = NFPROTO_IPV4;
constexpr std::string_view kTable = "filter";
constexpr std::string_view kForward = "FORWARD";
constexpr std::string_view kDockerUser = "DOCKER-USER";
constexpr std::string_view kComment = "mote:";  // and the device's name

/// The attributes of an nftables message.
std::span<const std::byte> attributes_of(std::span<const std::byte> body) {
    return body.subspan(std::min(sizeof(uint32_t), body.size()));  // nfgenmsg's size
}

/// True where there is the chain; its policy goes to `drops`.
Result<bool> look_for_chain(NetlinkSocket& socket, std::string_view chain, bool& drops) {
    NetlinkMessages messages;
    begin_nft(messages, NFT_MSG_GETCHAIN, NLM_F_ACK, kFamily);
    messages.text(NFTA_CHAIN_TABLE, kTable);
    messages.text(NFTA_CHAIN_NAME, chain);
    const auto found = socket.request(messages, [&](uint16_t, std::span<const std::byte> body) {
        const auto policy = find_attribute(attributes_of(body), NFTA_CHAIN_POLICY);
        drops = read_value<be32>(policy).value_or(NF_ACCEPT) == NF_DROP;
    });
    if (!found && found.error().code == ENOENT) return false;
    TRY(found);
    return true;
}

}  // namespace

Result<ForwardPolicy> read_forward_policy(NetlinkSocket& socket) {
    ForwardPolicy policy;
    bool ignored = false;
    TRY(look_for_chain(socket, kForward, policy.drops));
    policy.docker = TRY(look_for_chain(socket, kDockerUser, ignored));
    return policy;
}

Result<> add_docker_rules(NetlinkSocket& socket, const std::string& device,
                          const std::vector<std::string>& uplinks) {
    const std::string comment = std::string(kComment) + device;
    const NftPlace place{.family = kFamily,
                         .table = kTable,
                         .chain = kDockerUser,
                         .at_end = false,
                         .comment = comment};
    NetlinkMessages messages;
    begin_nft_batch(messages);
    // As iptables itself writes them, so that it goes on to understand the table.
    NftRule(messages, place).to_device(device).counter().accept();
    for (const std::string& uplink : uplinks)
        NftRule(messages, place).from_device(device).to_device(uplink).counter().accept();
    end_nft_batch(messages);
    return socket.request(messages);
}

Result<> remove_docker_rules(NetlinkSocket& socket, const std::string& device) {
    NetlinkMessages list;
    begin_nft(list, NFT_MSG_GETRULE, NLM_F_DUMP, kFamily);
    list.text(NFTA_RULE_TABLE, kTable);
    list.text(NFTA_RULE_CHAIN, kDockerUser);
    NetlinkMessages removal;
    begin_nft_batch(removal);
    TRY(socket.request(list, [&](uint16_t, std::span<const std::byte> body) {
        const auto attributes = attributes_of(body);
        const auto data = find_attribute(attributes, NFTA_RULE_USERDATA);
        const auto handle = find_attribute(attributes, NFTA_RULE_HANDLE);
        if (!data || !handle) return;
        const std::string_view comment = nft_comment(*data);
        if (!comment.starts_with(kComment)) return;
        const std::string owner(comment.substr(kComment.size()));
        if (owner != device && ::if_nametoindex(owner.c_str()) != 0) return;
        begin_nft(removal, NFT_MSG_DELRULE, NLM_F_ACK, kFamily);
        removal.text(NFTA_RULE_TABLE, kTable);
        removal.text(NFTA_RULE_CHAIN, kDockerUser);
        removal.bytes(NFTA_RULE_HANDLE, *handle);
    }));
    if (removal.answers() == 0) return {};
    end_nft_batch(removal);
    return socket.request(removal);
}

}  // namespace mote
