#include "boot/kernel_image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

namespace mote {

namespace {

using namespace std::string_view_literals;

struct Magic {
    std::string_view bytes;
    std::string_view name;
};

/// Formats that people mistake for a kernel image, most of them compressed ones.
constexpr std::array kOtherFormats{
    Magic{"\x1f\x8b"sv, "gzip"},           Magic{"\x28\xb5\x2f\xfd"sv, "zstd"},
    Magic{"\xfd\x37\x7a\x58\x5a"sv, "xz"}, Magic{"BZh"sv, "bzip2"},
    Magic{"\x02\x21\x4c\x18"sv, "lz4"},    Magic{"\x04\x22\x4d\x18"sv, "lz4"},
    Magic{"\x5d\x00\x00"sv, "lzma"},       Magic{"\x89LZO"sv, "lzo"},
};

bool begins_with(std::span<const std::byte> head, std::string_view magic) {
    return head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

/// The first bytes in hexadecimal, as many as a person can compare.
std::string first_bytes(std::span<const std::byte> head, size_t count) {
    std::string text;
    for (const std::byte byte : head.first(std::min(head.size(), count)))
        text += fmt::format("{}{:02x}", text.empty() ? "" : " ", std::to_integer<unsigned>(byte));
    return text;
}

std::unexpected<Error> not_a_kernel(std::span<const std::byte> head) {
    for (const Magic& other : kOtherFormats)
        if (begins_with(head, other.bytes))
            return fail("is not a Linux kernel image: it begins with {} ({}); unpack it first",
                        first_bytes(head, other.bytes.size()), other.name);
    return fail(
        "is not a Linux kernel image: it begins with {}, neither an ELF vmlinux nor a "
        "bzImage; name one of these",
        first_bytes(head, 4));
}

}  // namespace

uint64_t low_ram_end(const GuestMemory& memory) {
    const auto regions = memory.regions();
    if (regions.empty() || regions.front().config.base.value != 0) return 0;
    return regions.front().config.size;
}

Result<LoadedKernel> load_kernel(const GuestMemory& memory, const ImageFile& file) {
    // One read serves the detection, and nearly always every header there is.
    std::array<std::byte, 4096> buffer;
    const std::span head(buffer.data(), std::min<uint64_t>(buffer.size(), file.size()));
    TRY(file.read(0, head));
    for (const KernelFormat& format : kernel_formats())
        if (format.matches(head)) return format.load(memory, file, head);
    return not_a_kernel(head);
}

}  // namespace mote
