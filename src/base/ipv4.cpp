#include "base/ipv4.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>

namespace mote {

std::string to_string(Ipv4Address address) {
    const uint32_t v = address.value;
    return fmt::format("{}.{}.{}.{}", v >> 24U, v >> 16U & 0xFFU, v >> 8U & 0xFFU, v & 0xFFU);
}

std::optional<Ipv4Address> parse_ipv4(std::string_view text) {
    const char* at = std::to_address(text.begin());
    const char* const end = at + text.size();
    Ipv4Address address;
    for (int i = 0; i < 4; ++i) {
        if (i != 0 && (at == end || *at++ != '.')) return std::nullopt;
        uint8_t byte = 0;
        const auto [rest, error] = std::from_chars(at, end, byte);
        if (error != std::errc{}) return std::nullopt;
        address.value = address.value << 8U | byte;
        at = rest;
    }
    if (at != end) return std::nullopt;
    return address;
}

}  // namespace mote
