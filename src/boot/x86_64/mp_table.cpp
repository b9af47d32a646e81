#include "boot/x86_64/mp_table.h"

#include <string_view>

#include "memory/x86_64/layout.h"

namespace mote {

namespace {

constexpr size_t kPointerSize = 16;
constexpr uint8_t kSpecification = 4;  // version 1.4
constexpr uint8_t kLocalApicVersion = 0x14;
constexpr uint8_t kIoApicVersion = 0x11;  // KVM's
constexpr uint32_t kFamily6Apic = 0x600;  // CPU signature; Linux asks CPUID instead
constexpr uint32_t kFeatureFpuApic = 0x201;
constexpr uint8_t kEveryApic = 0xFF;

// Entry types (4.3) and interrupt types (table 4-9).
constexpr uint8_t kProcessor = 0;
constexpr uint8_t kBus = 1;
constexpr uint8_t kIoApicEntry = 2;
constexpr uint8_t kIoInterrupt = 3;
constexpr uint8_t kLocalInterrupt = 4;
constexpr uint8_t kVectored = 0;
constexpr uint8_t kNmi = 1;
constexpr uint8_t kExtInt = 3;

/// The configuration table, entry by entry, with their number.
struct Table {
    Bytes bytes;
    uint16_t entries = 0;
};

void add_processors(Table& table, uint32_t cpus) {
    for (uint32_t i = 0; i < cpus; ++i) {
        append(table.bytes, kProcessor);
        append(table.bytes, static_cast<uint8_t>(i));
        append(table.bytes, kLocalApicVersion);
        append(table.bytes, static_cast<uint8_t>(i == 0 ? 3 : 1));  // enabled, boot CPU
        append(table.bytes, kFamily6Apic);
        append(table.bytes, kFeatureFpuApic);
        append(table.bytes, uint64_t{0});
        ++table.entries;
    }
}

void add_bus_and_ioapic(Table& table, uint8_t ioapic) {
    append(table.bytes, kBus);
    append(table.bytes, uint8_t{0});
    append(table.bytes, std::string_view("ISA   "));
    append(table.bytes, kIoApicEntry);
    append(table.bytes, ioapic);
    append(table.bytes, kIoApicVersion);
    append(table.bytes, uint8_t{1});  // usable
    append(table.bytes, static_cast<uint32_t>(layout::kIoApic.value));
    table.entries = static_cast<uint16_t>(table.entries + 2);
}

/// `from` of the ISA bus (edge, active-high) arrives at input `to` of the APIC `apic`.
void add_interrupt(Table& table, uint8_t entry, uint8_t type, uint32_t from, uint8_t apic,
                   uint32_t to) {
    append(table.bytes, entry);
    append(table.bytes, type);
    append(table.bytes, uint16_t{0});  // polarity and trigger as the bus has them
    append(table.bytes, uint8_t{0});   // bus
    append(table.bytes, static_cast<uint8_t>(from));
    append(table.bytes, apic);
    append(table.bytes, static_cast<uint8_t>(to));
    ++table.entries;
}

}  // namespace

Bytes make_mp_table(const BootConfig& config) {
    Table table;
    append(table.bytes, std::string_view("PCMP"));
    append(table.bytes, uint16_t{0});  // 4: length, below
    append(table.bytes, kSpecification);
    append(table.bytes, uint8_t{0});                                // 7: checksum, below
    append(table.bytes, std::string_view("MOTE    microVM     "));  // OEM and product
    append(table.bytes, uint32_t{0});
    append(table.bytes, uint16_t{0});
    append(table.bytes, uint16_t{0});  // 34: entries, below
    append(table.bytes, static_cast<uint32_t>(layout::kLocalApic.value));
    append(table.bytes, uint32_t{0});                       // no extended entries
    const auto ioapic = static_cast<uint8_t>(config.cpus);  // ids are unique among all APICs
    add_processors(table, config.cpus);
    add_bus_and_ioapic(table, ioapic);
    // Linux wants interrupt 0 to exist, though no timer drives it.
    add_interrupt(table, kIoInterrupt, kVectored, 0, ioapic, 0);
    if (config.serial)
        add_interrupt(table, kIoInterrupt, kVectored, layout::kCom1Gsi, ioapic, layout::kCom1Gsi);
    for (const BootDevice& device : config.virtio)
        add_interrupt(table, kIoInterrupt, kVectored, device.gsi, ioapic, device.gsi);
    add_interrupt(table, kLocalInterrupt, kExtInt, 0, kEveryApic, 0);
    add_interrupt(table, kLocalInterrupt, kNmi, 0, kEveryApic, 1);
    put(std::span(table.bytes), 4, static_cast<uint16_t>(table.bytes.size()));
    put(std::span(table.bytes), 34, table.entries);
    put(std::span(table.bytes), 7, checksum(table.bytes));

    Bytes out;
    append(out, std::string_view("_MP_"));
    append(out, static_cast<uint32_t>(layout::kMpTable.value + kPointerSize));
    append(out, uint8_t{1});  // 16 bytes long
    append(out, kSpecification);
    out.resize(kPointerSize);  // 10: checksum; 11: no default configuration, no IMCR
    put(std::span(out), 10, checksum(out));
    append(out, table.bytes);
    return out;
}

Result<> write_mp_table(const GuestMemory& memory, const BootConfig& config) {
    const uint64_t room = layout::kAcpiTables.value - layout::kMpTable.value;
    if (config.cpus == 0 || config.cpus > 254)
        return fail("MP table: {} CPUs, not 1 to 254", config.cpus);
    const Bytes table = make_mp_table(config);
    if (table.size() > room || !memory.write(layout::kMpTable, table))
        return fail("MP table: no room for {} CPUs and {} devices; use ACPI, or fewer", config.cpus,
                    config.virtio.size());
    return {};
}

}  // namespace mote
