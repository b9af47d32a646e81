// BootData: what every boot protocol hands to the kernel, in whatever form.
#pragma once

#include <cstdint>
#include <optional>

#include "memory/guest_address.h"

namespace mote {

/// Where the initrd lies.
struct InitrdRange {
    GuestAddress base;
    uint64_t size = 0;
};

struct BootData {
    std::optional<InitrdRange> initrd;
    std::optional<GuestAddress> rsdp;  ///< nothing: the guest has no ACPI
};

}  // namespace mote
