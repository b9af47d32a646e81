#include "devices/virtio/dhcp_responder.h"

#include <cstring>

namespace mote {

namespace {
constexpr uint32_t kBroadcast = 0xFFFFFFFF;
}

bool DhcpResponder::wants(std::span<const std::byte> head) {
    const auto destination = dhcp_destination(head);
    if (!destination) return false;
    const Ipv4Network network{config_.setup.address, config_.setup.prefix};
    const uint32_t everybody_here = config_.setup.address.value | ~network.mask();
    return destination->value == kBroadcast || *destination == config_.setup.router ||
           destination->value == everybody_here;
}

void DhcpResponder::take(std::span<const std::byte> frame) {
    if (waiting_.size() >= kMaxWaiting) return;
    const auto query = parse_dhcp(frame);
    if (!query) return;
    if (const auto reply = answer(*query))
        waiting_.push_back(build_dhcp(*query, *reply, config_.setup));
}

size_t DhcpResponder::next(std::span<std::byte> room) {
    if (waiting_.empty() || waiting_.front().size() > room.size()) return 0;
    const std::vector<std::byte> frame = std::move(waiting_.front());
    waiting_.pop_front();
    std::memcpy(room.data(), frame.data(), frame.size());
    return frame.size();
}

std::optional<DhcpAnswer> DhcpResponder::answer(const DhcpQuery& query) const {
    DhcpAnswer reply{.type = DhcpType::ack,
                     .with_address = true,
                     .server_mac = kMac,
                     .lease_seconds = kLeaseSeconds,
                     .mtu = config_.mtu};
    switch (query.type) {
        case DhcpType::discover:
            reply.type = DhcpType::offer;
            return reply;
        case DhcpType::request: {
            if (query.server && *query.server != config_.setup.router) return std::nullopt;
            const Ipv4Address wanted = query.requested.value_or(query.current);
            if (wanted != config_.setup.address) {
                reply.type = DhcpType::nak;
                reply.with_address = false;
            }
            return reply;
        }
        case DhcpType::inform:
            reply.with_address = false;
            return reply;
        case DhcpType::offer:
        case DhcpType::decline:
        case DhcpType::ack:
        case DhcpType::nak:
        case DhcpType::release:
            return std::nullopt;
    }
    return std::nullopt;  // a type that there is not
}

}  // namespace mote
