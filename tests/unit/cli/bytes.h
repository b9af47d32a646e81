// Text as bytes and back.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace mote {

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

template <class Bytes>
std::string text_of(const Bytes& bytes) {
    std::string text;
    for (const std::byte byte : bytes)
        text += static_cast<char>(byte);
    return text;
}

}  // namespace mote
