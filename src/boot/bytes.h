// Reading and building wire formats byte by byte: little-endian values at any alignment.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mote {

using Bytes = std::vector<std::byte>;

/// The value at `offset`, or nothing where it does not lie wholly in `bytes`.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> get(std::span<const std::byte> bytes, uint64_t offset) {
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i)
        value |= std::to_integer<uint64_t>(bytes[offset + i]) << (8 * i);
    return static_cast<T>(value);
}

/// Stores `value` at `offset`, which the caller has made sure lies in `bytes`.
template <std::unsigned_integral T>
constexpr void put(std::span<std::byte> bytes, size_t offset, T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
        bytes[offset + i] = static_cast<std::byte>(uint64_t{value} >> (8 * i));
}

/// Appends `value`.
template <std::unsigned_integral T>
void append(Bytes& out, T value) {
    out.resize(out.size() + sizeof(T));
    put(std::span(out), out.size() - sizeof(T), value);
}

inline void append(Bytes& out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Appends the characters, without a closing NUL.
inline void append(Bytes& out, std::string_view text) {
    append(out, std::as_bytes(std::span(text)));
}

/// The byte that makes the sum of `bytes` and itself zero: how ACPI and MP tables are sealed.
[[nodiscard]] constexpr uint8_t checksum(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte byte : bytes)
        sum += std::to_integer<unsigned>(byte);
    return static_cast<uint8_t>(-sum);
}

}  // namespace mote
