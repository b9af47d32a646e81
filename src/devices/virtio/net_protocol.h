// The network device's wire format (virtio 1.2, 5.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

// Features (5.1.3). "Guest": what the driver takes; "host": what the device takes.
inline constexpr uint64_t kNetCsum = uint64_t{1} << 0U;
inline constexpr uint64_t kNetGuestCsum = uint64_t{1} << 1U;
inline constexpr uint64_t kNetMtu = uint64_t{1} << 3U;
inline constexpr uint64_t kNetMac = uint64_t{1} << 5U;
inline constexpr uint64_t kNetGuestTso4 = uint64_t{1} << 7U;
inline constexpr uint64_t kNetGuestTso6 = uint64_t{1} << 8U;
inline constexpr uint64_t kNetGuestUfo = uint64_t{1} << 10U;
inline constexpr uint64_t kNetHostTso4 = uint64_t{1} << 11U;
inline constexpr uint64_t kNetHostTso6 = uint64_t{1} << 12U;
inline constexpr uint64_t kNetHostUfo = uint64_t{1} << 14U;
inline constexpr uint64_t kNetMergeable = uint64_t{1} << 15U;
inline constexpr uint64_t kNetGuestUso4 = uint64_t{1} << 54U;
inline constexpr uint64_t kNetGuestUso6 = uint64_t{1} << 55U;
inline constexpr uint64_t kNetHostUso = uint64_t{1} << 56U;

// Queues (5.1.2), seen from the driver.
inline constexpr uint16_t kNetReceive = 0;
inline constexpr uint16_t kNetTransmit = 1;

/// In front of each frame (5.1.6).
struct NetHeader {
    uint8_t flags;     // 0
    uint8_t gso_type;  // 1
    le16 hdr_len;      // 2
    le16 gso_size;     // 4
    le16 csum_start;   // 6
    le16 csum_offset;  // 8
    le16 num_buffers;  // 10: of a received frame; 1 without kNetMergeable
};
static_assert(sizeof(NetHeader) == 12 && offsetof(NetHeader, num_buffers) == 10);

/// The configuration space (5.1.4), up to what we offer.
struct NetConfigSpace {
    std::array<uint8_t, 6> mac;  // 0: with kNetMac
    le16 status;                 // 6: with VIRTIO_NET_F_STATUS, which is not offered
    le16 max_virtqueue_pairs;    // 8: with VIRTIO_NET_F_MQ, which is not offered
    le16 mtu;                    // 10: with kNetMtu
};
static_assert(sizeof(NetConfigSpace) == 12 && offsetof(NetConfigSpace, mtu) == 10);

}  // namespace mote::virtio
