// FakeRam: guest memory for a test, handed out piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "memory/guest_memory.h"

namespace mote::test {

/// RAM from 0 to `low`, and `high` bytes more from 4 GiB. allocate() never gives address 0.
class FakeRam {
  public:
    explicit FakeRam(uint64_t low = uint64_t{8} << 20U, uint64_t high = 0)
        : FakeRam(low, high, false) {}
    /// The same in a memfd, for devices that share it.
    static FakeRam shared(uint64_t low = uint64_t{8} << 20U, uint64_t high = 0) {
        return FakeRam(low, high, true);
    }
    /// RAM from 0 to 8 MiB, and a region of blocks.
    explicit FakeRam(const RegionConfig& blocks);

    [[nodiscard]] const GuestMemory& memory() const { return memory_; }
    [[nodiscard]] uint64_t low_end() const { return low_; }
    /// Fresh memory; the test fails to build up where RAM is used up.
    GuestAddress allocate(uint64_t size, uint64_t alignment = 16);
    /// Fresh memory with these bytes in it.
    GuestAddress place(std::span<const std::byte> bytes);

    [[nodiscard]] std::vector<std::byte> bytes(GuestAddress address, uint64_t size) const;
    [[nodiscard]] uint8_t byte(GuestAddress address) const;

  private:
    FakeRam(uint64_t low, uint64_t high, bool shared);

    UniqueFd file_;
    GuestMemory memory_;
    uint64_t low_;
    uint64_t next_ = 4096;
};

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

}  // namespace mote::test
