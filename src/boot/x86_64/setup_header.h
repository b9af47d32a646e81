// Offsets of the Linux setup header, the same in a bzImage file and in the zero page.
// Source: Linux Documentation/arch/x86/boot.rst (boot protocol 2.15) and zero-page.rst.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mote::setup {

inline constexpr size_t kHeader = 0x1F1;        ///< where the header begins
inline constexpr size_t kSetupSectors = 0x1F1;  // u8
inline constexpr size_t kSysSize = 0x1F4;       // u32, of 16 bytes each
inline constexpr size_t kBootFlag = 0x1FE;      // u16
inline constexpr size_t kHeaderLength = 0x201;  // u8, counts from kHeaderEndBase
inline constexpr size_t kHeaderEndBase = 0x202;
inline constexpr size_t kMagic = 0x202;             // u32
inline constexpr size_t kVersion = 0x206;           // u16
inline constexpr size_t kTypeOfLoader = 0x210;      // u8
inline constexpr size_t kLoadFlags = 0x211;         // u8
inline constexpr size_t kRamdiskImage = 0x218;      // u32
inline constexpr size_t kRamdiskSize = 0x21C;       // u32
inline constexpr size_t kCommandLine = 0x228;       // u32
inline constexpr size_t kInitrdAddressMax = 0x22C;  // u32
inline constexpr size_t kKernelAlignment = 0x230;   // u32
inline constexpr size_t kRelocatable = 0x234;       // u8
inline constexpr size_t kXLoadFlags = 0x236;        // u16
inline constexpr size_t kPreferredAddress = 0x258;  // u64
inline constexpr size_t kInitSize = 0x260;          // u32
inline constexpr size_t kHeaderLimit = 0x290;       ///< what follows in the zero page is not header

inline constexpr uint16_t kBootFlagValue = 0xAA55;
inline constexpr uint32_t kMagicValue = 0x5372'6448;  // "HdrS"
inline constexpr uint16_t kVersion212 = 0x020C;
inline constexpr uint16_t kXlfKernel64 = 1;
inline constexpr uint8_t kLoadedHigh = 1;
inline constexpr uint8_t kUndefinedLoader = 0xFF;
inline constexpr uint64_t kEntry64Offset = 0x200;  ///< of the 64-bit entry in the loaded code

}  // namespace mote::setup
