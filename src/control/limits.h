// The ranges of a machine's numbers: validate() enforces them, messages name them.
#pragma once

#include <cstdint>

namespace mote {

inline constexpr uint32_t kMaxCpus = 32;
inline constexpr uint64_t kMinMemory = uint64_t{2} << 20U;
inline constexpr uint64_t kMaxMemory = uint64_t{4} << 40U;
inline constexpr uint64_t kMinHotplugBlock = uint64_t{2} << 20U;
inline constexpr uint64_t kMinHotplugSlot = uint64_t{128} << 20U;
inline constexpr uint32_t kMinMtu = 68;  // IPv4's least
inline constexpr uint32_t kMaxMtu = 65535;
inline constexpr uint32_t kMinAutoMtu = 576;  // what every IPv4 host takes, DHCP's answers too
inline constexpr uint32_t kMinHandedFd = 3;   // below are the standard streams
inline constexpr uint32_t kMaxHandedFd = 1048575;
inline constexpr uint32_t kMinCid = 3;  // 0 to 2 are the hypervisor's, loopback and the host's
inline constexpr uint32_t kMaxCid = UINT32_MAX - 1;
inline constexpr uint32_t kMaxVsockConnections = 8191;
inline constexpr uint32_t kMaxGraceSeconds = 3600;

}  // namespace mote
