// What driver and device share whatever the device is: feature and status bits, and the split
// ring's structures (virtio 1.2, 2 and 6).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

// Ring indices are used in place, by std::atomic_ref, and are little-endian.
static_assert(std::endian::native == std::endian::little);

// Device types (5).
inline constexpr uint32_t kTypeNet = 1;
inline constexpr uint32_t kTypeBlock = 2;
inline constexpr uint32_t kTypeConsole = 3;
inline constexpr uint32_t kTypeEntropy = 4;
inline constexpr uint32_t kTypeBalloon = 5;
inline constexpr uint32_t kTypeVsock = 19;
inline constexpr uint32_t kTypeMemory = 24;
inline constexpr uint32_t kTypePmem = 27;

// Feature bits that any device may offer (6).
inline constexpr uint64_t kFeatureIndirect = uint64_t{1} << 28U;
inline constexpr uint64_t kFeatureEventIndex = uint64_t{1} << 29U;
inline constexpr uint64_t kFeatureVersion1 = uint64_t{1} << 32U;
inline constexpr uint64_t kFeatureInOrder = uint64_t{1} << 35U;

// Device status (2.1).
inline constexpr uint32_t kStatusAcknowledge = 1;
inline constexpr uint32_t kStatusDriver = 2;
inline constexpr uint32_t kStatusDriverOk = 4;
inline constexpr uint32_t kStatusFeaturesOk = 8;
inline constexpr uint32_t kStatusNeedsReset = 64;
inline constexpr uint32_t kStatusFailed = 128;

/// One descriptor (2.7.5).
struct Descriptor {
    le64 address;  // 0
    le32 length;   // 8
    le16 flags;    // 12
    le16 next;     // 14, where flags hold kDescriptorNext
};
static_assert(sizeof(Descriptor) == 16 && offsetof(Descriptor, next) == 14);

inline constexpr uint16_t kDescriptorNext = 1;
inline constexpr uint16_t kDescriptorWrite = 2;  ///< the device writes it
inline constexpr uint16_t kDescriptorIndirect = 4;

/// One entry of the used ring (2.7.8).
struct UsedElement {
    le32 head;     // 0
    le32 written;  // 4
};
static_assert(sizeof(UsedElement) == 8);

// Available and used ring (2.7.6, 2.7.8): flags, index, entries, event index.
inline constexpr uint64_t kRingFlags = 0;
inline constexpr uint64_t kRingIndex = 2;
inline constexpr uint64_t kRingEntries = 4;
inline constexpr uint16_t kAvailableNoInterrupt = 1;
inline constexpr uint16_t kUsedNoNotify = 1;

[[nodiscard]] constexpr uint64_t descriptor_bytes(uint16_t size) {
    return uint64_t{size} * sizeof(Descriptor);
}
/// Offset of `used_event` in the available ring, and of its end.
[[nodiscard]] constexpr uint64_t used_event_offset(uint16_t size) {
    return kRingEntries + uint64_t{size} * sizeof(le16);
}
[[nodiscard]] constexpr uint64_t available_bytes(uint16_t size) {
    return used_event_offset(size) + sizeof(le16);
}
/// Offset of `avail_event` in the used ring, and of its end.
[[nodiscard]] constexpr uint64_t available_event_offset(uint16_t size) {
    return kRingEntries + uint64_t{size} * sizeof(UsedElement);
}
[[nodiscard]] constexpr uint64_t used_bytes(uint16_t size) {
    return available_event_offset(size) + sizeof(le16);
}

/// True where the other side asked, by its event index, to hear of the step from `before` to
/// `now` (2.7.7.1). All indices wrap at 2^16.
[[nodiscard]] constexpr bool crosses_event(uint16_t event, uint16_t now, uint16_t before) {
    return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - before);
}

}  // namespace mote::virtio
