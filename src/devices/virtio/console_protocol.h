// The console device's wire format (virtio 1.2, 5.3).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/endian.h"

namespace mote::virtio {

inline constexpr uint64_t kFeatureConsoleSize = uint64_t{1} << 0U;

// Queues of the one port (5.3.2).
inline constexpr uint16_t kConsoleReceive = 0;
inline constexpr uint16_t kConsoleTransmit = 1;

/// The configuration space (5.3.4).
struct ConsoleDeviceConfig {
    le16 columns;          // 0, with kFeatureConsoleSize
    le16 rows;             // 2, with kFeatureConsoleSize
    le32 max_ports;        // 4, with MULTIPORT: not offered
    le32 emergency_write;  // 8, with EMERG_WRITE: not offered
};
static_assert(sizeof(ConsoleDeviceConfig) == 12 && offsetof(ConsoleDeviceConfig, max_ports) == 4);

}  // namespace mote::virtio
