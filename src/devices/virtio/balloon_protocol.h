// The memory balloon's wire format (virtio 1.2, 5.5).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

// Features (5.5.3).
inline constexpr uint64_t kBalloonStatistics = uint64_t{1} << 1U;
inline constexpr uint64_t kBalloonDeflateOnOom = uint64_t{1} << 2U;
inline constexpr uint64_t kBalloonHinting = uint64_t{1} << 3U;
inline constexpr uint64_t kBalloonReporting = uint64_t{1} << 5U;

/// The configuration space (5.5.4), up to what we offer.
struct BalloonConfigSpace {
    le32 num_pages;       // 0: how many the host wants
    le32 actual;          // 4: how many the driver says it gave; the driver's to write
    le32 hinting_cmd_id;  // 8
};
static_assert(sizeof(BalloonConfigSpace) == 12 && offsetof(BalloonConfigSpace, actual) == 4);

/// A page of the balloon, whatever the guest's own page size (5.5.6).
inline constexpr uint64_t kBalloonPageShift = 12;
inline constexpr uint64_t kBalloonPageSize = uint64_t{1} << kBalloonPageShift;

// Commands of free page hinting (5.5.6.7); larger numbers name one round of it.
inline constexpr uint32_t kHintingStop = 0;
inline constexpr uint32_t kHintingDone = 1;
inline constexpr uint32_t kHintingFirst = 2;

/// One entry of the statistics (5.5.6.3): le16 tag, le64 value, without a gap.
inline constexpr size_t kBalloonStatBytes = 10;

}  // namespace mote::virtio
