#include "devices/virtio/balloon_pages.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "devices/virtio/balloon_protocol.h"

namespace mote {

namespace {

std::byte* end_of(const iovec& part) {
    return static_cast<std::byte*>(part.iov_base) + part.iov_len;
}

/// Sorts and joins what touches or overlaps: one system call serves for all of it.
void join(std::vector<iovec>& parts) {
    std::ranges::sort(parts, {},
                      [](const iovec& part) { return reinterpret_cast<uintptr_t>(part.iov_base); });
    size_t last = 0;
    for (size_t i = 1; i < parts.size(); ++i) {
        if (parts[i].iov_base > end_of(parts[last])) {
            parts[++last] = parts[i];
            continue;
        }
        const auto beyond = std::max(end_of(parts[last]), end_of(parts[i]));
        parts[last].iov_len =
            static_cast<size_t>(beyond - static_cast<std::byte*>(parts[last].iov_base));
    }
    if (!parts.empty()) parts.resize(last + 1);
}

}  // namespace

Result<std::vector<iovec>> inflated_ranges(const GuestMemory& memory, Chain& chain) {
    std::array<le32, kMaxInflatePages> numbers;
    const size_t count = std::min<uint64_t>(numbers.size(), chain.readable() / sizeof(le32));
    chain.read(std::as_writable_bytes(std::span(numbers).first(count)));
    std::vector<iovec> ranges;
    ranges.reserve(count);
    for (const uint32_t number : std::span(numbers).first(count)) {
        const GuestAddress page{uint64_t{number} << virtio::kBalloonPageShift};
        if (!memory.append_iovecs(page, virtio::kBalloonPageSize, ranges))
            return fail("page {:#x}, which is put into the balloon, is not RAM", number);
    }
    join(ranges);
    return ranges;
}

std::vector<iovec> reported_ranges(const Chain& chain) {
    std::vector<iovec> ranges;
    uint64_t left = kMaxReportBytes;
    for (iovec part : chain.writable_parts()) {
        part.iov_len = std::min(part.iov_len, left);
        if (part.iov_len == 0) break;
        left -= part.iov_len;
        ranges.push_back(part);
    }
    join(ranges);
    return ranges;
}

}  // namespace mote
