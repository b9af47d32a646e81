// What driver and vsock device share (virtio 1.2, 5.10).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

/// The host's address; the guest's is in the configuration space (5.10.4).
inline constexpr uint32_t kVsockHostCid = 2;
/// The only kind of socket there is (5.10.6).
inline constexpr uint16_t kVsockStream = 1;
/// The most data of one packet.
inline constexpr uint32_t kVsockMaxPayload = 64U << 10U;

/// Operations (5.10.6).
enum class VsockOp : uint16_t {
    request = 1,
    response = 2,
    rst = 3,
    shutdown = 4,
    rw = 5,
    credit_update = 6,
    credit_request = 7,
};

// Flags of VsockOp::shutdown: what its sender will not do any more (5.10.6.6).
inline constexpr uint32_t kVsockShutdownReceive = 1;
inline constexpr uint32_t kVsockShutdownSend = 2;
inline constexpr uint32_t kVsockShutdownBoth = 3;

/// In front of each packet's data (5.10.6).
struct VsockHeader {
    le32 source_cid;             // 0
    le32 source_cid_upper;       // 4, zero
    le32 destination_cid;        // 8
    le32 destination_cid_upper;  // 12, zero
    le32 source_port;            // 16
    le32 destination_port;       // 20
    le32 length;                 // 24, of the data
    le16 type;                   // 28
    le16 op;                     // 30
    le32 flags;                  // 32
    le32 buffer_size;            // 36, buf_alloc: the sender's buffer for received data
    le32 forwarded;              // 40, fwd_cnt: bytes that left that buffer, ever
};
static_assert(sizeof(VsockHeader) == 44 && offsetof(VsockHeader, op) == 30);

/// Configuration space (5.10.4).
struct VsockConfigSpace {
    le64 guest_cid;
};

}  // namespace mote::virtio
