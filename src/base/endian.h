// Little-endian integers as they lie in guest memory and files.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

namespace mote {

/// An integer stored little-endian, of the size and alignment of its value type. Converts on
/// reading and writing, so a wire struct made of these needs no care at its uses.
template <std::unsigned_integral T>
class LittleEndian {
  public:
    LittleEndian() = default;
    constexpr LittleEndian(T value) noexcept : stored_(swapped(value)) {}  // NOLINT(*-explicit-*)
    constexpr operator T() const noexcept { return swapped(stored_); }     // NOLINT(*-explicit-*)

  private:
    static constexpr T swapped(T value) noexcept {
        if constexpr (std::endian::native == std::endian::little || sizeof(T) == 1) {
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

using le16 = LittleEndian<uint16_t>;
using le32 = LittleEndian<uint32_t>;
using le64 = LittleEndian<uint64_t>;

}  // namespace mote
