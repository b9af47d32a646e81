#include "devices/virtio/dhcp_message.h"

#include <algorithm>
#include <cstring>

#include "base/endian.h"

namespace mote {

namespace {

using Mac = std::array<uint8_t, 6>;

struct EthernetHeader {
    Mac destination;  // 0
    Mac source;       // 6
    be16 type;        // 12
};
static_assert(sizeof(EthernetHeader) == 14);

/// RFC 791, 3.1, without options.
struct Ipv4Header {
    uint8_t version_length;  // 0: 4 and the header's size in words
    uint8_t service;         // 1
    be16 total_length;       // 2
    be16 identification;     // 4
    be16 fragment;           // 6: flags, offset
    uint8_t time_to_live;    // 8
    uint8_t protocol;        // 9
    be16 checksum;           // 10
    be32 source;             // 12
    be32 destination;        // 16
};
static_assert(sizeof(Ipv4Header) == 20);

struct UdpHeader {
    be16 source;       // 0
    be16 destination;  // 2
    be16 length;       // 4
    be16 checksum;     // 6
};
static_assert(sizeof(UdpHeader) == 8);

/// RFC 2131, 2, with the cookie that options begin with.
struct DhcpHeader {
    uint8_t op;          // 0
    uint8_t htype;       // 1
    uint8_t hlen;        // 2
    uint8_t hops;        // 3
    be32 xid;            // 4
    be16 secs;           // 8
    be16 flags;          // 10
    be32 ciaddr;         // 12
    be32 yiaddr;         // 16
    be32 siaddr;         // 20
    be32 giaddr;         // 24
    uint8_t chaddr[16];  // 28
    uint8_t names[192];  // 44: sname and file
    be32 cookie;         // 236
};
static_assert(sizeof(DhcpHeader) == 240);

constexpr Mac kBroadcastMac{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr uint32_t kBroadcast = 0xFFFFFFFF;
constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint8_t kUdp = 17;
constexpr uint16_t kFragmented = 0x3FFF;  // more fragments, or an offset
constexpr uint16_t kServerPort = 67;
constexpr uint16_t kClientPort = 68;
constexpr uint32_t kCookie = 0x63825363;
constexpr uint16_t kBroadcastFlag = 0x8000;
constexpr size_t kLeastMessage = 300;  // BOOTP's, which old clients insist on
constexpr size_t kMaxNameServers = 8;

enum Option : uint8_t {
    kPad = 0,
    kSubnetMask = 1,
    kRouter = 3,
    kNameServers = 6,
    kMtu = 26,
    kRequestedAddress = 50,
    kLeaseTime = 51,
    kMessageType = 53,
    kServer = 54,
    kEnd = 255,
};

/// The bytes of a packet from its front; nothing is read beyond its end.
class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
    template <class T>
    std::optional<T> take() {
        if (left_.size() < sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, left_.data(), sizeof(T));
        left_ = left_.subspan(sizeof(T));
        return value;
    }
    bool skip(size_t count) {
        if (left_.size() < count) return false;
        left_ = left_.subspan(count);
        return true;
    }
    /// Forgets what is behind the next `count` bytes; false where there are fewer.
    bool cut(size_t count) {
        if (left_.size() < count) return false;
        left_ = left_.first(count);
        return true;
    }
    [[nodiscard]] std::span<const std::byte> left() const { return left_; }

  private:
    std::span<const std::byte> left_;
};

struct Packet {
    Ipv4Header ip;
    UdpHeader udp;
};

/// Up to the UDP header, of a frame whose end may be missing.
std::optional<Packet> read_headers(Reader& reader) {
    const auto ethernet = reader.take<EthernetHeader>();
    if (!ethernet || ethernet->type != kTypeIpv4) return std::nullopt;
    const auto ip = reader.take<Ipv4Header>();
    if (!ip || ip->version_length >> 4U != 4 || ip->protocol != kUdp) return std::nullopt;
    if ((ip->fragment & kFragmented) != 0) return std::nullopt;
    const size_t length = size_t{ip->version_length & 0xFU} * 4;
    if (length < sizeof(Ipv4Header) || !reader.skip(length - sizeof(Ipv4Header)))
        return std::nullopt;
    const auto udp = reader.take<UdpHeader>();
    if (!udp || udp->destination != kServerPort) return std::nullopt;
    // The packet says how long it is: headers, data, and no more than the datagram's own length.
    if (ip->total_length < length + sizeof(UdpHeader) || udp->length < sizeof(UdpHeader) ||
        udp->length > ip->total_length - length)
        return std::nullopt;
    return Packet{*ip, *udp};
}

std::optional<Ipv4Address> address_of(std::span<const std::byte> value) {
    const auto address = Reader(value).take<be32>();
    if (!address || value.size() != sizeof(be32)) return std::nullopt;
    return Ipv4Address{*address};
}

/// Fills `query` from the options; false where they are malformed or tell no type.
bool read_options(Reader reader, DhcpQuery& query) {
    bool typed = false;
    while (const auto code = reader.take<uint8_t>()) {
        if (*code == kPad) continue;
        if (*code == kEnd) break;
        const auto length = reader.take<uint8_t>();
        if (!length || reader.left().size() < *length) return false;
        const auto value = reader.left().first(*length);
        reader.skip(*length);
        if (*code == kMessageType) {
            if (value.size() != 1) return false;
            query.type = DhcpType{std::to_integer<uint8_t>(value[0])};
            typed = true;
        } else if (*code == kRequestedAddress) {
            query.requested = address_of(value);
        } else if (*code == kServer) {
            query.server = address_of(value);
        }
    }
    return typed;
}

/// The Internet checksum (RFC 1071) of `bytes`, on top of `sum`.
uint16_t checksum(std::span<const std::byte> bytes, uint32_t sum = 0) {
    for (size_t i = 0; i < bytes.size(); ++i)
        sum += std::to_integer<uint32_t>(bytes[i]) << (i % 2 == 0 ? 8U : 0U);
    while (sum >> 16U != 0)
        sum = (sum & 0xFFFFU) + (sum >> 16U);
    return static_cast<uint16_t>(~sum);
}

class Writer {
  public:
    template <class T>
    void put(const T& value) {
        const auto bytes = std::as_bytes(std::span(&value, 1));
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    template <class T>
    void option(Option code, const T& value) {
        put(uint8_t{code});
        put(uint8_t{sizeof(T)});
        put(value);
    }
    [[nodiscard]] size_t size() const { return bytes_.size(); }
    void pad_to(size_t size) { bytes_.resize(std::max(bytes_.size(), size)); }
    template <class T>
    void put_at(size_t offset, const T& value) {
        std::memcpy(bytes_.data() + offset, &value, sizeof value);
    }
    [[nodiscard]] std::span<const std::byte> from(size_t offset) const {
        return std::span(bytes_).subspan(offset);
    }
    std::vector<std::byte> take() { return std::move(bytes_); }

  private:
    std::vector<std::byte> bytes_;
};

void write_options(Writer& out, const DhcpAnswer& answer, const Ipv4Setup& setup) {
    out.option(kMessageType, static_cast<uint8_t>(answer.type));
    out.option(kServer, be32(setup.router.value));
    if (answer.type != DhcpType::nak) {
        if (answer.with_address) out.option(kLeaseTime, be32(answer.lease_seconds));
        out.option(kSubnetMask, be32(Ipv4Network{setup.address, setup.prefix}.mask()));
        out.option(kRouter, be32(setup.router.value));
        const size_t servers = std::min(setup.name_servers.size(), kMaxNameServers);
        if (servers != 0) {
            out.put(uint8_t{kNameServers});
            out.put(static_cast<uint8_t>(servers * sizeof(be32)));
            for (size_t i = 0; i < servers; ++i)
                out.put(be32(setup.name_servers[i].value));
        }
        if (answer.mtu) out.option(kMtu, be16(*answer.mtu));
    }
    out.put(uint8_t{kEnd});
}

/// Where the answer goes (RFC 2131, 4.1).
Ipv4Address destination_of(const DhcpQuery& query, const DhcpAnswer& answer,
                           const Ipv4Setup& setup) {
    if (answer.type == DhcpType::nak) return {kBroadcast};
    if (query.current.value != 0) return query.current;
    return query.broadcast ? Ipv4Address{kBroadcast} : setup.address;
}

}  // namespace

std::optional<Ipv4Address> dhcp_destination(std::span<const std::byte> head) {
    Reader reader(head);
    const auto packet = read_headers(reader);
    if (!packet) return std::nullopt;
    return Ipv4Address{packet->ip.destination};
}

std::optional<DhcpQuery> parse_dhcp(std::span<const std::byte> frame) {
    Reader reader(frame);
    const auto packet = read_headers(reader);
    // Behind the packet a short frame is padded.
    if (!packet || !reader.cut(packet->udp.length - sizeof(UdpHeader))) return std::nullopt;
    const auto header = reader.take<DhcpHeader>();
    if (!header || header->op != 1 || header->htype != 1 || header->hlen != sizeof(Mac) ||
        header->giaddr != 0 || header->cookie != kCookie || (header->chaddr[0] & 1U) != 0)
        return std::nullopt;
    DhcpQuery query{.type = {},
                    .transaction = header->xid,
                    .client = {},
                    .broadcast = (header->flags & kBroadcastFlag) != 0,
                    .current = {header->ciaddr},
                    .requested = {},
                    .server = {}};
    std::copy_n(header->chaddr, query.client.size(), query.client.begin());
    if (!read_options(reader, query)) return std::nullopt;
    return query;
}

std::vector<std::byte> build_dhcp(const DhcpQuery& query, const DhcpAnswer& answer,
                                  const Ipv4Setup& setup) {
    constexpr size_t kIp = sizeof(EthernetHeader);
    constexpr size_t kUdpAt = kIp + sizeof(Ipv4Header);
    constexpr size_t kDhcp = kUdpAt + sizeof(UdpHeader);
    const Ipv4Address to = destination_of(query, answer, setup);
    Writer out;
    out.put(EthernetHeader{.destination = to.value == kBroadcast ? kBroadcastMac : query.client,
                           .source = answer.server_mac,
                           .type = kTypeIpv4});
    out.pad_to(kDhcp);
    DhcpHeader header{};
    header.op = 2;
    header.htype = 1;
    header.hlen = sizeof(Mac);
    header.xid = query.transaction;
    header.flags = query.broadcast ? kBroadcastFlag : uint16_t{0};
    if (answer.type == DhcpType::ack) header.ciaddr = query.current.value;
    if (answer.with_address) header.yiaddr = setup.address.value;
    std::ranges::copy(query.client, header.chaddr);
    header.cookie = kCookie;
    out.put(header);
    write_options(out, answer, setup);
    out.pad_to(kDhcp + kLeastMessage);

    UdpHeader udp{.source = kServerPort,
                  .destination = kClientPort,
                  .length = static_cast<uint16_t>(out.size() - kUdpAt),
                  .checksum = uint16_t{0}};
    out.put_at(kUdpAt, udp);
    Ipv4Header ip{.version_length = 0x45,
                  .service = 0,
                  .total_length = static_cast<uint16_t>(out.size() - kIp),
                  .identification = uint16_t{0},
                  .fragment = uint16_t{0x4000},
                  .time_to_live = 64,
                  .protocol = kUdp,
                  .checksum = uint16_t{0},
                  .source = setup.router.value,
                  .destination = to.value};
    ip.checksum = checksum(std::as_bytes(std::span(&ip, 1)));
    out.put_at(kIp, ip);
    // UDP's covers addresses, protocol and length too (RFC 768); 0 would mean none.
    const uint32_t pseudo = (setup.router.value >> 16U) + (setup.router.value & 0xFFFFU) +
                            (to.value >> 16U) + (to.value & 0xFFFFU) + kUdp + udp.length;
    const uint16_t sum = checksum(out.from(kUdpAt), pseudo);
    udp.checksum = sum != 0 ? sum : uint16_t{0xFFFF};
    out.put_at(kUdpAt, udp);
    return out.take();
}

}  // namespace mote
