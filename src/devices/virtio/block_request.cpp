#include "devices/virtio/block_request.h"

#include <optional>

namespace mote {

using namespace virtio;
using Kind = ParsedBlockRequest::Kind;

namespace {

ParsedBlockRequest refused(uint8_t status) {
    return {.kind = Kind::refused, .status = status, .request = {}};
}

/// True where `count` sectors from `sector` on are all on the disk.
bool on_disk(const BlockLimits& limits, uint64_t sector, uint64_t count) {
    return sector <= limits.sectors && count <= limits.sectors - sector;
}

ParsedBlockRequest parse_transfer(const Chain& chain, const BlockLimits& limits, bool write,
                                  uint64_t sector) {
    const uint64_t length = write ? chain.readable() : chain.writable();
    const uint64_t other = write ? chain.writable() : chain.readable();
    if (write && limits.read_only) return refused(kBlockIoError);
    if (other != 0 || length == 0 || length % kSectorSize != 0) return refused(kBlockIoError);
    if (!on_disk(limits, sector, length / kSectorSize)) return refused(kBlockIoError);
    return {.kind = Kind::disk,
            .status = kBlockOk,
            .request = {.op = write ? DiskOp::write : DiskOp::read,
                        .offset = sector * kSectorSize,
                        .length = length,
                        .buffers = write ? chain.readable_parts() : chain.writable_parts(),
                        .ranges = {}}};
}

/// Checks one range; nothing where it is right, else the status (5.2.6.2).
std::optional<uint8_t> check_range(const BlockRange& range, const BlockLimits& limits,
                                   bool discard) {
    const uint32_t known_flags = discard ? 0 : kBlockUnmap;
    if ((range.flags & ~known_flags) != 0) return kBlockUnsupported;
    const uint32_t most = discard ? limits.max_discard_sectors : limits.max_write_zeroes_sectors;
    if (range.sectors > most || !on_disk(limits, range.sector, range.sectors)) return kBlockIoError;
    return std::nullopt;
}

ParsedBlockRequest parse_ranges(Chain& chain, const BlockLimits& limits, bool discard,
                                std::vector<DiskRange>& ranges) {
    const uint64_t count = chain.readable() / sizeof(BlockRange);
    if (limits.read_only || chain.writable() != 0) return refused(kBlockIoError);
    if (count == 0 || count > limits.max_ranges || chain.readable() % sizeof(BlockRange) != 0)
        return refused(kBlockIoError);
    ranges.clear();
    for (uint64_t i = 0; i < count; ++i) {
        BlockRange range{};
        chain.read(std::as_writable_bytes(std::span(&range, 1)));
        if (const auto status = check_range(range, limits, discard)) return refused(*status);
        ranges.push_back({.offset = range.sector * kSectorSize,
                          .length = range.sectors * kSectorSize,
                          .unmap = (range.flags & kBlockUnmap) != 0});
    }
    return {.kind = Kind::disk,
            .status = kBlockOk,
            .request = {.op = discard ? DiskOp::discard : DiskOp::write_zeroes,
                        .offset = 0,
                        .length = 0,
                        .buffers = {},
                        .ranges = ranges}};
}

}  // namespace

ParsedBlockRequest parse_block_request(Chain& chain, const BlockLimits& limits,
                                       std::vector<DiskRange>& ranges) {
    BlockHeader header{};
    if (!chain.read(std::as_writable_bytes(std::span(&header, 1))))
        return {.kind = Kind::malformed, .status = kBlockOk, .request = {}};
    switch (header.type) {
        case kBlockIn:
        case kBlockOut:
            return parse_transfer(chain, limits, header.type == kBlockOut, header.sector);
        case kBlockFlushRequest:
            return {.kind = Kind::disk, .status = kBlockOk, .request = {.op = DiskOp::flush}};
        case kBlockGetId:
            return {.kind = Kind::get_id, .status = kBlockOk, .request = {}};
        case kBlockDiscardRequest:
        case kBlockWriteZeroesRequest:
            return parse_ranges(chain, limits, header.type == kBlockDiscardRequest, ranges);
        default:
            return refused(kBlockUnsupported);
    }
}

}  // namespace mote
