#include "control/net/subnet.h"

#include <algorithm>
#include <array>

namespace mote {

namespace {

// Parts of RFC 1918's ranges that other software rarely takes, each of kSubnets times four
// addresses.
constexpr std::array<Ipv4Address, 3> kRanges{
    {{0x0AD50000}, {0xAC1D0000}, {0xC0A80000}}};  // 10.213/16, 172.29/16, 192.168/16
constexpr uint32_t kSize = 4;

}  // namespace

std::optional<Subnet> choose_subnet(uint32_t number, std::span<const Ipv4Network> taken) {
    for (const Ipv4Address range : kRanges) {
        const Ipv4Network network{{range.value + number * kSize}, 30};
        const auto overlaps = [&](const Ipv4Network& other) { return network.overlaps(other); };
        if (std::ranges::none_of(taken, overlaps)) return Subnet{network};
    }
    return std::nullopt;
}

}  // namespace mote
