// nftables objects as messages to the kernel (linux/netfilter/nf_tables.h).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ipv4.h"
#include "control/net/netlink.h"

namespace mote {

/// A message about nftables: `type` is NFT_MSG_..., `family` NFPROTO_...
void begin_nft(NetlinkMessages& messages, int type, uint16_t flags, uint8_t family);

/// What lies between these two happens as a whole or not at all.
void begin_nft_batch(NetlinkMessages& messages);
void end_nft_batch(NetlinkMessages& messages);

struct NftPlace {
    uint8_t family;
    std::string_view table;
    std::string_view chain;
    bool at_end = true;             ///< behind the chain's rules; else in front of them
    std::string_view comment = {};  ///< empty: none
};

/// The comment in a rule's NFTA_RULE_USERDATA; empty where it has none.
std::string_view nft_comment(std::span<const std::byte> user_data);

/// A new rule: condition by condition, and one verdict. It is complete when this is destroyed.
class NftRule {
  public:
    NftRule(NetlinkMessages& messages, const NftPlace& place);
    ~NftRule() { messages_.close(expressions_); }
    NftRule(const NftRule&) = delete;
    NftRule& operator=(const NftRule&) = delete;

    NftRule& from_device(std::string_view name);
    NftRule& to_device(std::string_view name);
    NftRule& not_to_device(std::string_view name);
    NftRule& ipv4();
    NftRule& not_ipv4();
    // These three where the packet is IPv4's.
    NftRule& source(Ipv4Address address);
    NftRule& other_source(Ipv4Address address);
    NftRule& destination(const Ipv4Network& network);
    NftRule& protocol(uint8_t number);
    NftRule& destination_port(uint16_t port);
    /// Packets of a connection in one of `states` (NF_CT_STATE_BIT), or with `status` (IPS_...).
    NftRule& connection_state(uint32_t states);
    NftRule& connection_status(uint32_t status);
    NftRule& counter();

    void accept();
    void drop();
    void masquerade();

  private:
    enum class Compare : uint8_t { equal, unequal };
    template <class Fill>
    NftRule& expression(std::string_view name, Fill&& fill);
    NftRule& load_meta(uint32_t key);
    NftRule& load_address(uint32_t offset);
    NftRule& load_connection(uint32_t key);
    NftRule& mask(std::span<const std::byte> bits);
    NftRule& any_of(uint32_t bits);
    NftRule& compare(Compare how, std::span<const std::byte> value);
    template <class T>
    NftRule& compare_value(Compare how, const T& value) {
        return compare(how, std::as_bytes(std::span(&value, 1)));
    }
    NftRule& compare_device(uint32_t key, Compare how, std::string_view name);
    void verdict(uint32_t code);

    NetlinkMessages& messages_;
    size_t expressions_ = 0;
};

}  // namespace mote
