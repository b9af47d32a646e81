// The vhost-user protocol's wire format, as far as mote speaks it (QEMU's
// docs/interop/vhost-user.rst). All numbers are in the byte order of the machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mote::vhost_user {

/// What the front end, which mote is, asks for.
enum class Request : uint32_t {
    get_features = 1,
    set_features = 2,
    set_owner = 3,
    set_mem_table = 5,
    set_vring_num = 8,
    set_vring_addr = 9,
    set_vring_base = 10,
    get_vring_base = 11,
    set_vring_kick = 12,
    set_vring_call = 13,
    get_protocol_features = 15,
    set_protocol_features = 16,
    set_vring_enable = 18,
    get_config = 24,
};

/// In front of each message.
struct Header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;  ///< bytes that follow
};
static_assert(sizeof(Header) == 12);

inline constexpr uint32_t kVersion = 1;       ///< bits 0 and 1 of the flags
inline constexpr uint32_t kReply = 1U << 2U;  ///< set in what the back end answers

/// A feature bit of the socket's, never shown to a guest: there are protocol features.
inline constexpr uint64_t kFeatureProtocol = uint64_t{1} << 30U;
/// A protocol feature: the back end knows the configuration space.
inline constexpr uint64_t kProtocolConfig = uint64_t{1} << 9U;

/// Payload of SET_VRING_NUM, _BASE, _ENABLE, and both ways of GET_VRING_BASE.
struct VringState {
    uint32_t index;
    uint32_t number;
};

/// Payload of SET_VRING_ADDR; addresses are those that MemoryRegion calls the user's.
struct VringAddresses {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors;
    uint64_t used;
    uint64_t available;
    uint64_t log;
};
static_assert(sizeof(VringAddresses) == 40);

struct MemoryRegion {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address;
    uint64_t offset;  ///< in the file that comes with it
};

/// Payload of SET_MEM_TABLE, up to the regions that are there; a file comes with each.
inline constexpr size_t kMaxRegions = 8;
struct MemoryTable {
    uint32_t count;
    uint32_t padding;
    std::array<MemoryRegion, kMaxRegions> regions;
};
static_assert(sizeof(MemoryTable) == 8 + kMaxRegions * 32);

/// Payload of GET_CONFIG, both ways. A back end that has no such part answers with none.
inline constexpr size_t kConfigBytes = 60;  ///< of a block device, up to virtio 1.1's fields
struct ConfigSpace {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
    std::array<std::byte, kConfigBytes> bytes;
};
static_assert(sizeof(ConfigSpace) == 12 + kConfigBytes);

/// The longest answer that is ever waited for.
inline constexpr size_t kMaxAnswer = sizeof(ConfigSpace);

}  // namespace mote::vhost_user
