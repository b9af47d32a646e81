// The guest physical layout of the x86_64 machine. docs/memory-map.md shows it as a table.
#pragma once

#include <cstdint>

#include "memory/guest_address.h"

namespace mote::layout {

// RAM, and the hole below 4 GiB that holds all MMIO.
inline constexpr uint64_t kMmioHoleStart = 0xC000'0000;
inline constexpr uint64_t kMmioHoleEnd = 0x1'0000'0000;

// Memory that is no RAM, or comes later: from here, or from the end of RAM where that is higher.
inline constexpr uint64_t kDeviceMemory = uint64_t{512} << 30U;

// One read-only memory slot holds every virtio-mmio register page; page 0 stays free (the
// contract's boot timer), device i has page 1 + i.
inline constexpr GuestAddress kVirtioWindow{0xC000'0000};
inline constexpr uint64_t kVirtioWindowSize = 0x2'0000;

// Interrupts (GSIs = IOAPIC pins).
inline constexpr uint32_t kCom1Gsi = 4;
inline constexpr uint32_t kVirtioFirstGsi = 5;
inline constexpr uint32_t kGedGsi = 23;
inline constexpr uint32_t kMaxVirtioDevices = kGedGsi - kVirtioFirstGsi;

// Ports.
inline constexpr uint16_t kCom1Port = 0x3F8;
inline constexpr uint16_t kPvpanicPort = 0x505;
inline constexpr uint16_t kGedSelectPort = 0x600;     ///< 32 bits, read: pending events, cleared
inline constexpr uint16_t kSleepControlPort = 0x604;  ///< 8 bits (ACPI 6.5, 4.8.3.7)
inline constexpr uint16_t kSleepStatusPort = 0x605;   ///< 8 bits (ACPI 6.5, 4.8.3.8)
inline constexpr uint16_t kResetPort = 0x606;         ///< 8 bits, write kResetValue
inline constexpr uint8_t kResetValue = 1;
// The reset control register of PC chipsets, for guests without ACPI: a hard reset writes this
// value.
inline constexpr uint16_t kPcResetPort = 0xCF9;
inline constexpr uint8_t kPcResetValue = 0x0E;
inline constexpr uint8_t kSleepTypePowerOff = 5;  ///< SLP_TYP of \_S5

// Interrupt controllers, and what KVM needs on Intel hosts.
inline constexpr GuestAddress kIoApic{0xFEC0'0000};
inline constexpr GuestAddress kLocalApic{0xFEE0'0000};
inline constexpr GuestAddress kKvmTss{0xFFFB'D000};
inline constexpr GuestAddress kKvmIdentityMap{0xFFFB'C000};

// Low memory at the moment the guest starts.
inline constexpr GuestAddress kGdt{0x500};
inline constexpr GuestAddress kPvhStartInfo{0x6000};
inline constexpr GuestAddress kPvhModules{0x6040};
inline constexpr GuestAddress kPvhMemoryMap{0x7000};
inline constexpr GuestAddress kZeroPage{0x7000};
inline constexpr GuestAddress kBootStack{0x8FF0};
inline constexpr GuestAddress kPageTables{0x9000};
inline constexpr GuestAddress kCommandLine{0x2'0000};
inline constexpr uint64_t kCommandLineSize = 2048;  ///< with the closing NUL
inline constexpr GuestAddress kMpTable{0x9'FC00};
inline constexpr GuestAddress kSystemArea{0x9'FC00};  ///< reserved in the memory map, to kHighRam
inline constexpr GuestAddress kAcpiTables{0xA'0000};
inline constexpr GuestAddress kRsdp{0xE'0000};
inline constexpr GuestAddress kHighRam{0x10'0000};

}  // namespace mote::layout
