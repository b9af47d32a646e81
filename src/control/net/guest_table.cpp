#include "control/net/guest_table.h"

#include <linux/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include "control/net/nft_rule.h"

namespace mote {

namespace {

constexpr uint8_t kFamily = NFPROTO_INET;
// Priorities that `nft` calls raw, filter and srcnat.
constexpr int32_t kRaw = -300;
constexpr int32_t kFilter = 0;
constexpr int32_t kSourceNat = 100;
constexpr Ipv4Network kLinkLocal{{0xA9FE0000}, 16};  // 169.254/16
constexpr uint16_t kDnsPort = 53;

class TableWriter {
  public:
    explicit TableWriter(const GuestTable& table) : table_(table) {}

    NetlinkMessages write() {
        begin_nft_batch(messages_);
        begin_nft(messages_, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, kFamily);
        messages_.text(NFTA_TABLE_NAME, table_.device);
        messages_.number(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
        write_from_guest();
        write_to_guest();
        write_nat();
        end_nft_batch(messages_);
        return std::move(messages_);
    }

  private:
    void begin_chain(std::string_view name, std::string_view type, uint32_t hook,
                     int32_t priority) {
        chain_ = name;
        begin_nft(messages_, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, kFamily);
        messages_.text(NFTA_CHAIN_TABLE, table_.device);
        messages_.text(NFTA_CHAIN_NAME, name);
        messages_.nest(NFTA_CHAIN_HOOK, [&] {
            messages_.number(NFTA_HOOK_HOOKNUM, hook);
            messages_.number(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(priority));
        });
        messages_.text(NFTA_CHAIN_TYPE, type);
    }

    [[nodiscard]] NftPlace place() const {
        return {.family = kFamily, .table = table_.device, .chain = chain_};
    }

    void write_from_guest() {
        begin_chain("from-guest", "filter", NF_INET_PRE_ROUTING, kRaw);
        const std::string& device = table_.device;
        NftRule(messages_, place()).from_device(device).not_ipv4().drop();
        NftRule(messages_, place()).from_device(device).other_source(table_.guest.address).drop();
        for (const Ipv4Address server : table_.guest.name_servers) {
            if (!kLinkLocal.contains(server)) continue;
            for (const uint8_t protocol : {uint8_t{IPPROTO_UDP}, uint8_t{IPPROTO_TCP}})
                NftRule(messages_, place())
                    .from_device(device)
                    .destination({server, 32})
                    .protocol(protocol)
                    .destination_port(kDnsPort)
                    .accept();
        }
        NftRule(messages_, place()).from_device(device).destination(kLinkLocal).drop();
    }

    void write_to_guest() {
        begin_chain("to-guest", "filter", NF_INET_FORWARD, kFilter);
        const std::string& device = table_.device;
        NftRule(messages_, place())
            .to_device(device)
            .connection_state(NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED))
            .accept();
        NftRule(messages_, place()).to_device(device).connection_status(IPS_DST_NAT).accept();
        NftRule(messages_, place()).to_device(device).drop();
    }

    void write_nat() {
        begin_chain("nat", "nat", NF_INET_POST_ROUTING, kSourceNat);
        NftRule(messages_, place())
            .ipv4()
            .source(table_.guest.address)
            .not_to_device(table_.device)
            .masquerade();
    }

    const GuestTable& table_;
    NetlinkMessages messages_;
    std::string_view chain_;
};

}  // namespace

NetlinkMessages guest_table(const GuestTable& table) {
    return TableWriter(table).write();
}

}  // namespace mote
