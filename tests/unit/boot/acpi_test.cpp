#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "boot/x86_64/acpi_tables.h"
#include "boot/x86_64/mp_table.h"
#include "unit/boot/images.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;

namespace {

BootConfig full_config() {
    BootConfig config{.cpus = 4};
    for (uint32_t i = 0; i < layout::kMaxVirtioDevices; ++i)
        config.virtio.push_back({.address = {0xC000'1000 + i * 0x1000},
                                 .size = 0x1000,
                                 .gsi = layout::kVirtioFirstGsi + i});
    return config;
}

bool contains_text(const Bytes& table, std::string_view text) {
    const std::string_view all(reinterpret_cast<const char*>(table.data()), table.size());
    return all.find(text) != std::string_view::npos;
}

unsigned sum(std::span<const std::byte> bytes) {
    return checksum(bytes);
}

std::string read_text(const std::filesystem::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("ACPI: every table is found from the RSDP, with right lengths and checksums") {
    const GuestMemory memory = make_memory(2 * kMiB);
    REQUIRE(write_acpi_tables(memory, full_config()).value() == layout::kRsdp);
    const auto bytes_at = [&](uint64_t at, uint64_t size) {
        const auto window = memory.window({at}, size);
        REQUIRE(window);
        return *window;
    };
    const auto rsdp = bytes_at(layout::kRsdp.value, 36);
    CHECK(std::memcmp(rsdp.data(), "RSD PTR ", 8) == 0);
    CHECK(sum(rsdp.first(20)) == 0);
    CHECK(sum(rsdp) == 0);
    const auto table_at = [&](uint64_t at, std::string_view signature) {
        CHECK(at % 16 == 0);
        CHECK(at >= layout::kAcpiTables.value);
        const auto size = memory.load<uint32_t>({at + 4}).value();
        CHECK(at + size <= layout::kRsdp.value);
        const auto table = bytes_at(at, size);
        CHECK(std::memcmp(table.data(), signature.data(), 4) == 0);
        CHECK(sum(table) == 0);
        return table;
    };
    const auto xsdt = table_at(get<uint64_t>(rsdp, 24).value(), "XSDT");
    REQUIRE(xsdt.size() == 36 + 16);
    const auto fadt = table_at(get<uint64_t>(xsdt, 36).value(), "FACP");
    const auto madt = table_at(get<uint64_t>(xsdt, 44).value(), "APIC");
    CHECK(get<uint64_t>(fadt, 140) == get<uint32_t>(fadt, 40));
    table_at(get<uint64_t>(fadt, 140).value(), "DSDT");
    CHECK(madt.size() == 44 + 4 * 8 + 12);
}

TEST_CASE("ACPI: the FADT describes a hardware-reduced machine with reset and sleep ports") {
    const Bytes fadt = make_acpi_tables(full_config()).fadt;
    REQUIRE(fadt.size() == 276);
    CHECK((get<uint32_t>(fadt, 112).value() & (1U << 20U | 1U << 10U)) == (1U << 20U | 1U << 10U));
    CHECK((get<uint16_t>(fadt, 109).value() & 3U) == 0);  // no legacy devices, no 8042
    CHECK(get<uint64_t>(fadt, 120) == layout::kResetPort);
    CHECK(get<uint8_t>(fadt, 128) == layout::kResetValue);
    CHECK(get<uint64_t>(fadt, 248) == layout::kSleepControlPort);
    CHECK(get<uint64_t>(fadt, 260) == layout::kSleepStatusPort);
}

TEST_CASE("ACPI: only what exists is described") {
    BootConfig config{.cpus = 1, .serial = false, .pvpanic = false};
    Bytes dsdt = make_acpi_tables(config).dsdt;
    CHECK_FALSE(contains_text(dsdt, "PNP0501"));
    CHECK_FALSE(contains_text(dsdt, "QEMU0001"));
    CHECK_FALSE(contains_text(dsdt, "LNRO0005"));
    CHECK(contains_text(dsdt, "ACPI0013"));
    CHECK(contains_text(dsdt, "PNP0C0C"));
    config = full_config();
    dsdt = make_acpi_tables(config).dsdt;
    CHECK(contains_text(dsdt, "PNP0501"));
    CHECK(contains_text(dsdt, "QEMU0001"));
    CHECK(contains_text(dsdt, "V011"));
    CHECK_FALSE(contains_text(dsdt, "V012"));
}

TEST_CASE("ACPI: a number of CPUs that the tables cannot hold is refused") {
    const GuestMemory memory = make_memory(2 * kMiB);
    CHECK(write_acpi_tables(memory, {.cpus = 254}));
    CHECK_FALSE(write_acpi_tables(memory, {.cpus = 255}));
    CHECK_FALSE(write_acpi_tables(memory, {.cpus = 0}));
}

TEST_CASE("ACPI: ACPICA's compiler takes the tables apart and puts them together again") {
    INFO("needs iasl: install acpica-tools");
    REQUIRE(std::system("iasl -v >/dev/null 2>&1") == 0);
    std::string folder = std::filesystem::temp_directory_path() / "mote-acpi-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    const AcpiTables tables = make_acpi_tables(full_config());
    const std::map<std::string, const Bytes*> files{{"dsdt", &tables.dsdt},
                                                    {"facp", &tables.fadt},
                                                    {"apic", &tables.madt},
                                                    {"xsdt", &tables.xsdt}};
    for (const auto& [name, bytes] : files) {
        const std::string base = folder + "/" + name;
        std::ofstream(base + ".dat", std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes->data()),
                   static_cast<std::streamsize>(bytes->size()));
        const std::string log = base + ".log";
        const std::string commands = "iasl -d " + base + ".dat >" + log + " 2>&1 && iasl -oa -p " +
                                     base + "-again " + base + ".dsl >>" + log + " 2>&1";
        INFO(name);
        const int status = std::system(commands.c_str());
        INFO(read_text(log));
        INFO(read_text(base + ".dsl"));
        CHECK(status == 0);
        // Recompiled, it is the same table, but for the compiler's own name and the checksum.
        const std::string again = read_text(base + "-again.aml");
        CHECK(again.size() == bytes->size());
        CHECK(read_text(log).find(" 0 Errors, 0 Warnings") != std::string::npos);
        if (again.size() == bytes->size())
            CHECK(std::memcmp(again.data() + 36, bytes->data() + 36, again.size() - 36) == 0);
    }
    std::filesystem::remove_all(folder);
}

TEST_CASE("MP table: pointer, table and checksums") {
    BootConfig config = full_config();
    config.cpus = 32;
    const Bytes table = make_mp_table(config);
    const std::span all(table);
    CHECK(std::memcmp(table.data(), "_MP_", 4) == 0);
    CHECK(get<uint32_t>(all, 4) == layout::kMpTable.value + 16);
    CHECK(sum(all.first(16)) == 0);
    const auto length = get<uint16_t>(all, 16 + 4).value();
    REQUIRE(16U + length == table.size());
    CHECK(sum(all.subspan(16)) == 0);
    // 32 CPUs, bus, IOAPIC, interrupts 0, 4 and 18 of virtio, two local ones.
    CHECK(get<uint16_t>(all, 16 + 34) == 32 + 2 + 20 + 2);
    CHECK(table.size() == 16 + 44 + 32 * 20 + 24 * 8);
    CHECK(write_mp_table(make_memory(2 * kMiB), config));
    config.cpus = 64;
    CHECK_FALSE(write_mp_table(make_memory(2 * kMiB), config));
}
