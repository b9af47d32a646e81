// PmemRegion: a file that the guest has as memory. It is not RAM: no device reaches it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "control/resources.h"
#include "kvm/kvm.h"
#include "memory/guest_address.h"

namespace mote {

struct PmemRegion {
    std::string id;  ///< "pmem0"
    GuestAddress base;
    Mapping mapping;
    bool read_only = false;
    int fd = -1;              ///< the device's, which lives as long
    uint64_t file_bytes = 0;  ///< of `mapping`; zeroes follow

    [[nodiscard]] bool contains(GuestAddress address) const {
        return address >= base && address.value - base.value < mapping.size();
    }
};

struct PmemPlace {
    GuestAddress base;
    uint64_t size = 0;  ///< bytes, the file's rounded up
};

/// Where the files come to lie: at multiples of 2 MiB, behind `ram_bytes` of RAM and the holes.
/// Errors: a file that is too large, or that addresses of `address_bits` do not reach.
Result<std::vector<PmemPlace>> place_pmems(uint32_t address_bits, uint64_t ram_bytes,
                                           std::span<const PmemResource> pmems);

/// Maps the files where place_pmems() puts them. Errors: its, KVM's and mmap(2)'s.
Result<std::vector<PmemRegion>> map_pmems(const Kvm& kvm, uint64_t ram_bytes,
                                          std::span<const PmemResource> pmems);

/// Names the regions whose files have become shorter, for a message; empty where none has.
[[nodiscard]] std::string shrunk_files(std::span<const PmemRegion> regions);

}  // namespace mote
