#include "devices/virtio/balloon_statistics.h"

#include <cstring>

#include "devices/virtio/balloon_protocol.h"

namespace mote {

ParsedStatistics parse_balloon_statistics(std::span<const std::byte> report) {
    ParsedStatistics parsed;
    while (report.size() >= virtio::kBalloonStatBytes) {
        le16 tag;
        le64 value;
        std::memcpy(&tag, report.data(), sizeof tag);
        std::memcpy(&value, report.data() + sizeof tag, sizeof value);
        report = report.subspan(virtio::kBalloonStatBytes);
        if (tag < BalloonStatistics::kCount)
            parsed.known.values[tag] = value;
        else if (!parsed.unknown_tag)
            parsed.unknown_tag = tag;
    }
    return parsed;
}

}  // namespace mote
