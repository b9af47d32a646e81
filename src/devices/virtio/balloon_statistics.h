// BalloonStatistics: what a guest tells of its memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace mote {

/// The tags of virtio 1.2, 5.5.6.4, and those that Linux 6.12 added to them. Sizes are in bytes.
enum class BalloonStat : uint16_t {
    swap_in,
    swap_out,
    major_faults,
    minor_faults,
    free_memory,
    total_memory,
    available_memory,
    disk_caches,
    hugetlb_allocations,
    hugetlb_failures,
    oom_kill,
    alloc_stall,
    async_scan,
    direct_scan,
    async_reclaim,
    direct_reclaim,
};

/// Plain data: the guest's last report, as far as it went. None of it is to be relied on.
struct BalloonStatistics {
    static constexpr size_t kCount = static_cast<size_t>(BalloonStat::direct_reclaim) + 1;

    std::array<std::optional<uint64_t>, kCount> values;  ///< by tag

    [[nodiscard]] std::optional<uint64_t> operator[](BalloonStat stat) const {
        return values[static_cast<size_t>(stat)];
    }
};

struct ParsedStatistics {
    BalloonStatistics known;
    std::optional<uint16_t> unknown_tag;  ///< the first one
};

/// Reads the entries in `report`; a cut one at its end is left out, the last of equal tags counts.
ParsedStatistics parse_balloon_statistics(std::span<const std::byte> report);

}  // namespace mote
