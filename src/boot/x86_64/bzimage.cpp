#include "boot/x86_64/bzimage.h"

#include <algorithm>
#include <bit>

#include "boot/bytes.h"
#include "boot/x86_64/setup_header.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

constexpr uint64_t kSectorSize = 512;
constexpr uint64_t kMiB = uint64_t{1} << 20U;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 30U;

/// What of the setup header decides about loading, copied out of the file.
struct Header {
    uint64_t code_offset;  ///< of the protected-mode part in the file
    uint64_t code_size;
    uint64_t preferred_address;
    uint64_t init_size;  ///< memory it needs from its run-time start
    uint64_t alignment;  ///< of its run-time start
    uint64_t initrd_max;
    bool relocatable;
};

template <class T>
T field(std::span<const std::byte> head, size_t offset) {
    return get<T>(head, offset).value_or(0);
}

Result<Header> read_header(const ImageFile& file, std::span<const std::byte> head) {
    const auto version = field<uint16_t>(head, setup::kVersion);
    if (version < setup::kVersion212)
        return fail(
            "is a bzImage of boot protocol {}.{:02}, older than 2.12; use Linux 3.8 or newer",
            version >> 8U, version & 0xFFU);
    if ((field<uint16_t>(head, setup::kXLoadFlags) & setup::kXlfKernel64) == 0)
        return fail("is a bzImage without a 64-bit entry; use a kernel built for x86-64");
    const uint64_t sectors = field<uint8_t>(head, setup::kSetupSectors);
    const uint64_t code_offset = ((sectors == 0 ? 4 : sectors) + 1) * kSectorSize;
    const uint64_t code_size = uint64_t{field<uint32_t>(head, setup::kSysSize)} * 16;
    // The size is kept in units of 16 bytes: the file may be up to 15 shorter.
    const uint64_t there = file.size() - std::min(file.size(), code_offset);
    if (code_size == 0 || there + 15 < code_size)
        return fail(
            "is truncated: a bzImage of {} bytes, the file has {}; make or download it again",
            code_offset + code_size, file.size());
    if (std::min(code_size, there) <= setup::kEntry64Offset)
        return fail("is a bzImage that ends before its 64-bit entry; make or download it again");
    const Header header{
        .code_offset = code_offset,
        .code_size = std::min(code_size, there),
        .preferred_address = field<uint64_t>(head, setup::kPreferredAddress),
        .init_size = field<uint32_t>(head, setup::kInitSize),
        .alignment = field<uint32_t>(head, setup::kKernelAlignment),
        .initrd_max = field<uint32_t>(head, setup::kInitrdAddressMax),
        .relocatable = field<uint8_t>(head, setup::kRelocatable) != 0,
    };
    if (!std::has_single_bit(header.alignment) || header.alignment > kMaxAlignment ||
        header.preferred_address >= layout::kMmioHoleStart)
        return fail(
            "is a bzImage with an impossible address or alignment ({:#x}, {:#x}); make it again",
            header.preferred_address, header.alignment);
    return header;
}

}  // namespace

bool is_bzimage(std::span<const std::byte> head) {
    return get<uint16_t>(head, setup::kBootFlag) == setup::kBootFlagValue &&
           get<uint32_t>(head, setup::kMagic) == setup::kMagicValue;
}

Result<LoadedKernel> load_bzimage(const GuestMemory& memory, const ImageFile& file,
                                  std::span<const std::byte> head) {
    const Header header = TRY(read_header(file, head));
    // A relocatable kernel unpacks itself where it was loaded, but never below its preferred
    // address: loaded there, it touches no other memory. One that is not relocatable is linked to
    // be loaded at 1 MiB and unpacks itself at its preferred address.
    const uint64_t load = header.relocatable
                              ? std::max(header.preferred_address, layout::kHighRam.value)
                              : layout::kHighRam.value;
    const uint64_t start =
        std::max(header.preferred_address, (load + header.alignment - 1) & -header.alignment);
    const uint64_t end = std::max(start + header.init_size, load + header.code_size);
    const uint64_t ram_end = low_ram_end(memory);
    if (end > ram_end)
        return fail(
            "needs memory up to {} MiB to unpack itself, the guest has {} MiB; give it more",
            (end + kMiB - 1) / kMiB, ram_end / kMiB);
    TRY(file.load(memory, {load}, header.code_offset, header.code_size));
    const size_t header_end =
        std::min<size_t>(setup::kHeaderEndBase + field<uint8_t>(head, setup::kHeaderLength),
                         std::min(setup::kHeaderLimit, head.size()));
    return LoadedKernel{
        .protocol = BootProtocol::linux64,
        .entry = {load + setup::kEntry64Offset},
        .end = {end},
        .initrd_limit = {std::min(ram_end, header.initrd_max + 1)},
        .setup_header =
            Bytes(head.begin() + setup::kHeader, head.begin() + static_cast<ptrdiff_t>(header_end)),
    };
}

}  // namespace mote
