#include "vmm/pmem_region.h"

#include <sys/stat.h>

#include <algorithm>

#include "control/limits.h"
#include "control/options.h"
#include "memory/layout.h"
#include "vmm/platform.h"

namespace mote {

namespace {

// Linux takes such memory in units of 2 MiB, and so do the host's page tables.
constexpr uint64_t kUnit = uint64_t{2} << 20U;

constexpr uint64_t round_up(uint64_t bytes) {
    return (bytes + kUnit - 1) / kUnit * kUnit;
}

}  // namespace

Result<std::vector<PmemPlace>> place_pmems(uint32_t address_bits, uint64_t ram_bytes,
                                           std::span<const PmemResource> pmems) {
    const uint64_t limit = uint64_t{1} << std::min(address_bits, 62U);
    std::vector<PmemPlace> places;
    uint64_t base = round_up(device_memory_start(ram_bytes).value);
    for (const PmemResource& pmem : pmems) {
        if (pmem.size_bytes > kMaxMemory)
            return fail("{}: its file of {} bytes is too large, the limit is {}; use it as a disk",
                        pmem.id, pmem.size_bytes, format_size(kMaxMemory));
        const uint64_t size = round_up(pmem.size_bytes);
        if (base > limit || size > limit - base)
            return fail(
                "{}: {} bytes at {:#x} do not fit into the {} bits that this host gives a guest's "
                "addresses; give a smaller file, or use it as a disk",
                pmem.id, size, base, address_bits);
        places.push_back({.base = {base}, .size = size});
        base += size;
    }
    return places;
}

Result<std::vector<PmemRegion>> map_pmems(const Kvm& kvm, uint64_t ram_bytes,
                                          std::span<const PmemResource> pmems) {
    std::vector<PmemRegion> regions;
    if (pmems.empty()) return regions;
    const uint32_t bits = TRY(Platform::address_bits(kvm));
    const std::vector<PmemPlace> places = TRY(place_pmems(bits, ram_bytes, pmems));
    for (size_t i = 0; i < pmems.size(); ++i) {
        const PmemResource& pmem = pmems[i];
        auto mapping = Mapping::shared_file(pmem.file.get(), pmem.size_bytes, pmem.read_only,
                                            places[i].size, kUnit);
        if (!mapping) return fail_code(mapping.error().code, "{}: cannot map its file", pmem.id);
        regions.push_back({.id = pmem.id,
                           .base = places[i].base,
                           .mapping = *std::move(mapping),
                           .read_only = pmem.read_only,
                           .fd = pmem.file.get(),
                           .file_bytes = pmem.size_bytes});
    }
    return regions;
}

std::string shrunk_files(std::span<const PmemRegion> regions) {
    std::string text;
    for (const PmemRegion& region : regions) {
        struct stat status{};
        if (::fstat(region.fd, &status) != 0 || !S_ISREG(status.st_mode)) continue;
        if (static_cast<uint64_t>(status.st_size) >= region.file_bytes) continue;
        text += fmt::format("; {}: its file was cut from {} to {} bytes while the guest used it",
                            region.id, region.file_bytes, status.st_size);
    }
    return text;
}

}  // namespace mote
