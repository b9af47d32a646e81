#include "boot/x86_64/acpi_tables.h"

#include <string_view>

#include "boot/x86_64/dsdt.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

constexpr std::string_view kOemId = "MOTE  ";  // six characters
constexpr uint32_t kOemRevision = 1;
constexpr std::string_view kCreatorId = "MOTE";  // four
constexpr uint32_t kCreatorRevision = 1;
constexpr size_t kHeaderSize = 36;
constexpr size_t kTableAlign = 16;

// FADT (ACPI 6.5, table 5.9).
namespace fadt {
constexpr uint8_t kMajor = 6;
constexpr uint8_t kMinor = 5;
constexpr size_t kSize = 276;
constexpr size_t kDsdt32 = 40;
constexpr size_t kBootArchitecture = 109;
constexpr size_t kFlags = 112;
constexpr size_t kResetRegister = 116;
constexpr size_t kResetValue = 128;
constexpr size_t kMinorVersion = 131;
constexpr size_t kDsdt64 = 140;
constexpr size_t kSleepControl = 244;
constexpr size_t kSleepStatus = 256;
constexpr size_t kHypervisor = 268;
// IAPC_BOOT_ARCH (5.2.9.3): no legacy devices, no 8042 (bits 0 and 1 clear), and:
constexpr uint16_t kNoVga = 1U << 2U;
constexpr uint16_t kNoCmosRtc = 1U << 5U;
// Flags (table 5.10).
constexpr uint32_t kWbinvd = 1U << 0U;
constexpr uint32_t kPowerButtonIsDevice = 1U << 4U;
constexpr uint32_t kSleepButtonIsDevice = 1U << 5U;
constexpr uint32_t kResetSupported = 1U << 10U;
constexpr uint32_t kHardwareReduced = 1U << 20U;
}  // namespace fadt

/// The 36 bytes that every table but the RSDP begins with (5.2.6), length and checksum open.
Bytes header(std::string_view signature, uint8_t revision, std::string_view table_id) {
    Bytes out;
    append(out, signature);
    append(out, uint32_t{0});  // length, by seal()
    append(out, revision);
    append(out, uint8_t{0});  // checksum, by seal()
    append(out, kOemId);
    append(out, table_id);  // eight characters
    append(out, kOemRevision);
    append(out, kCreatorId);
    append(out, kCreatorRevision);
    return out;
}

Bytes seal(Bytes table) {
    put(std::span(table), 4, static_cast<uint32_t>(table.size()));
    put(std::span(table), 9, checksum(table));
    return table;
}

/// A generic address structure (5.2.3.2) for one 8-bit port.
void put_port_register(Bytes& table, size_t offset, uint16_t port) {
    table[offset] = std::byte{1};      // system I/O
    table[offset + 1] = std::byte{8};  // bits wide, at bit 0
    table[offset + 3] = std::byte{1};  // accessed by bytes
    put(std::span(table), offset + 4, uint64_t{port});
}

/// No SCI, no PM timer, no fixed events, no legacy devices: sleep and reset are byte registers.
Bytes make_fadt(GuestAddress dsdt) {
    Bytes table = header("FACP", fadt::kMajor, "MOTEFADT");
    table.resize(fadt::kSize);
    const std::span bytes(table);
    put(bytes, fadt::kDsdt32, static_cast<uint32_t>(dsdt.value));
    put(bytes, fadt::kDsdt64, dsdt.value);
    put(bytes, fadt::kBootArchitecture, static_cast<uint16_t>(fadt::kNoVga | fadt::kNoCmosRtc));
    put(bytes, fadt::kFlags,
        fadt::kWbinvd | fadt::kPowerButtonIsDevice | fadt::kSleepButtonIsDevice |
            fadt::kResetSupported | fadt::kHardwareReduced);
    put_port_register(table, fadt::kResetRegister, layout::kResetPort);
    put(bytes, fadt::kResetValue, layout::kResetValue);
    put(bytes, fadt::kMinorVersion, fadt::kMinor);
    put_port_register(table, fadt::kSleepControl, layout::kSleepControlPort);
    put_port_register(table, fadt::kSleepStatus, layout::kSleepStatusPort);
    put(bytes, fadt::kHypervisor, uint64_t{0x4554'4F4D});  // "MOTE"
    return seal(std::move(table));
}

/// Every local APIC and the IOAPIC (5.2.12). No PCAT_COMPAT: the guest leaves the 8259s alone. No
/// interrupt source overrides: every GSI is a pin of its own, and no ISA interrupt is to be mapped.
Bytes make_madt(uint32_t cpus) {
    Bytes table = header("APIC", 6, "MOTEMADT");
    append(table, static_cast<uint32_t>(layout::kLocalApic.value));
    append(table, uint32_t{0});  // flags
    for (uint32_t i = 0; i < cpus; ++i) {
        append(table, uint16_t{0x0800});         // type 0, 8 bytes
        append(table, static_cast<uint8_t>(i));  // processor UID
        append(table, static_cast<uint8_t>(i));  // APIC id
        append(table, uint32_t{1});              // enabled
    }
    append(table, uint16_t{0x0C01});  // type 1, 12 bytes
    append(table, uint16_t{0});       // IOAPIC id 0, as its register reads
    append(table, static_cast<uint32_t>(layout::kIoApic.value));
    append(table, uint32_t{0});  // first GSI
    return seal(std::move(table));
}

Bytes make_xsdt(std::initializer_list<GuestAddress> tables) {
    Bytes table = header("XSDT", 1, "MOTEXSDT");
    for (const GuestAddress address : tables)
        append(table, address.value);
    return seal(std::move(table));
}

/// The root pointer (5.2.5.3): its first 20 bytes have a checksum of their own.
Bytes make_rsdp(GuestAddress xsdt) {
    constexpr size_t kSize = 36;
    Bytes table;
    append(table, std::string_view("RSD PTR "));
    append(table, uint8_t{0});  // 8: checksum of the first 20 bytes
    append(table, kOemId);
    append(table, uint8_t{2});   // 15: revision
    append(table, uint32_t{0});  // 16: no RSDT
    append(table, uint32_t{kSize});
    append(table, xsdt.value);
    table.resize(kSize);  // 32: checksum of all, and three reserved bytes
    put(std::span(table), 8, checksum(std::span(table).first(20)));
    put(std::span(table), 32, checksum(table));
    return table;
}

GuestAddress after(GuestAddress address, const Bytes& table) {
    return {address.value + (table.size() + kTableAlign - 1) / kTableAlign * kTableAlign};
}

}  // namespace

AcpiTables make_acpi_tables(const BootConfig& config) {
    AcpiTables tables;
    // Revision 2: integers are 64 bits wide.
    tables.dsdt = header("DSDT", 2, "MOTEDSDT");
    append(tables.dsdt, make_dsdt_body(config));
    tables.dsdt = seal(std::move(tables.dsdt));
    const GuestAddress dsdt = layout::kAcpiTables;
    const GuestAddress fadt = after(dsdt, tables.dsdt);
    tables.fadt = make_fadt(dsdt);
    const GuestAddress madt = after(fadt, tables.fadt);
    tables.madt = make_madt(config.cpus);
    tables.xsdt = make_xsdt({fadt, madt});
    tables.rsdp = make_rsdp(after(madt, tables.madt));
    return tables;
}

Result<GuestAddress> write_acpi_tables(const GuestMemory& memory, const BootConfig& config) {
    static_assert(kHeaderSize == 36 && kOemId.size() == 6 && kCreatorId.size() == 4);
    // APIC id 255 means every CPU (xAPIC); more CPUs would need x2APIC entries.
    if (config.cpus == 0 || config.cpus > 254)
        return fail("ACPI tables: {} CPUs, not 1 to 254", config.cpus);
    const AcpiTables tables = make_acpi_tables(config);
    GuestAddress at = layout::kAcpiTables;
    for (const Bytes* table : {&tables.dsdt, &tables.fadt, &tables.madt, &tables.xsdt}) {
        const GuestAddress next = after(at, *table);
        if (next > layout::kRsdp || !memory.write(at, *table))
            return fail("ACPI tables: no room for {} CPUs and {} devices; use fewer", config.cpus,
                        config.virtio.size());
        at = next;
    }
    if (!memory.write(layout::kRsdp, tables.rsdp))
        return fail("ACPI tables: no memory at {:#x}; give the guest more", layout::kRsdp.value);
    return layout::kRsdp;
}

}  // namespace mote
