// Which memory a balloon's request gives back, joined to as few ranges as possible.
#pragma once

#include <sys/uio.h>

#include <vector>

#include "base/result.h"
#include "devices/virtio/chain.h"
#include "memory/guest_memory.h"

namespace mote {

/// Pages that one inflate request gives at most: Linux sends 256, others up to 1024. The rest of a
/// longer one stays with the guest's memory, as if it had not been given.
inline constexpr size_t kMaxInflatePages = 1024;
/// Bytes of one report or hint that are given back at most; Linux sends up to 128 MiB.
inline constexpr uint64_t kMaxReportBytes = uint64_t{256} << 20U;

/// The pages that an inflate request (an array of page frame numbers) names, as host ranges.
/// Each number is checked before any range is given out. Errors: the rule that the request broke.
Result<std::vector<iovec>> inflated_ranges(const GuestMemory& memory, Chain& chain);

/// The buffers of a report or a hint, which are free memory of the guest's, as host ranges.
std::vector<iovec> reported_ranges(const Chain& chain);

}  // namespace mote
