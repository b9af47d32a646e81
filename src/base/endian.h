// Integers of a set byte order, as they lie in guest memory, files and packets.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

namespace mote {

/// An integer stored in `Order`, of the size and alignment of its value type. Converts on reading
/// and writing, so a wire struct made of these needs no care at its uses.
template <std::unsigned_integral T, std::endian Order>
class Endian {
  public:
    Endian() = default;
    constexpr Endian(T value) noexcept : stored_(swapped(value)) {}     // NOLINT(*-explicit-*)
    constexpr operator T() const noexcept { return swapped(stored_); }  // NOLINT(*-explicit-*)

  private:
    static constexpr T swapped(T value) noexcept {
        if constexpr (std::endian::native == Order || sizeof(T) == 1) {
            return value;
        } else {
            T result = 0;
            for (unsigned i = 0; i < sizeof(T); ++i)
                result = static_cast<T>(result << 8U) | static_cast<T>((value >> (8U * i)) & 0xFFU);
            return result;
        }
    }
    T stored_;
};

using le16 = Endian<uint16_t, std::endian::little>;
using le32 = Endian<uint32_t, std::endian::little>;
using le64 = Endian<uint64_t, std::endian::little>;
using be16 = Endian<uint16_t, std::endian::big>;
using be32 = Endian<uint32_t, std::endian::big>;

}  // namespace mote
