// The MP table (Intel MultiProcessor Specification 1.4) for guests without ACPI.
#pragma once

#include "base/result.h"
#include "boot/boot.h"
#include "boot/bytes.h"
#include "memory/guest_memory.h"

namespace mote {

/// Floating pointer and configuration table, as they lie from layout::kMpTable.
[[nodiscard]] Bytes make_mp_table(const BootConfig& config);

/// Makes and writes the table. Errors: more CPUs than fit below 640 KiB.
Result<> write_mp_table(const GuestMemory& memory, const BootConfig& config);

}  // namespace mote
