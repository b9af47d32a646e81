// ACPI tables of a hardware-reduced machine (ACPI 6.5, chapters 4.1 and 5.2).
#pragma once

#include "base/result.h"
#include "boot/boot.h"
#include "boot/bytes.h"
#include "memory/guest_memory.h"

namespace mote {

/// The tables, each complete with header and checksum; `xsdt` and `fadt` hold the addresses that
/// the tables have when they lie one after the other, 16-byte aligned, from layout::kAcpiTables in
/// this order: DSDT, FADT, MADT, XSDT.
struct AcpiTables {
    Bytes dsdt, fadt, madt, xsdt, rsdp;
};

[[nodiscard]] AcpiTables make_acpi_tables(const BootConfig& config);

/// Makes the tables and writes them; returns where the RSDP is.
/// Errors: more devices or CPUs than the area holds.
Result<GuestAddress> write_acpi_tables(const GuestMemory& memory, const BootConfig& config);

}  // namespace mote
