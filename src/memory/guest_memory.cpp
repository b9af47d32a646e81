#include "memory/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace mote {

namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kHugePageSize = uint64_t{2} << 20U;

Result<> check_order(std::span<const RegionConfig> configs) {
    GuestAddress free_from{0};
    for (const RegionConfig& config : configs) {
        const auto end = checked_add(config.base, config.size);
        const uint64_t misaligned = (config.base.value | config.size | config.offset) % kPageSize;
        if (config.size == 0 || misaligned != 0 || !end || config.base < free_from)
            return fail(
                "guest memory: region at {:#x} of {:#x} bytes is empty, misaligned or overlaps",
                config.base.value, config.size);
        const uint64_t block = config.block_size;
        if (block != 0 && (!std::has_single_bit(block) || block < kPageSize ||
                           (config.base.value | config.size) % block != 0))
            return fail("guest memory: region at {:#x} of {:#x} bytes has no blocks of {:#x} bytes",
                        config.base.value, config.size, block);
        free_from = *end;
    }
    return {};
}

Result<Mapping> map_region(const RegionConfig& config) {
    int flags = MAP_NORESERVE;
    switch (config.backing) {
        case Backing::anonymous:
            flags |= MAP_PRIVATE | MAP_ANONYMOUS;
            break;
        case Backing::shared_memfd:
            flags |= MAP_SHARED;
            break;
        case Backing::private_file:
            flags |= MAP_PRIVATE;
            break;
    }
    const int fd = config.backing == Backing::anonymous ? -1 : config.fd;
    Mapping mapping = TRY(Mapping::create(config.size, flags, fd, config.offset, kHugePageSize));
    // Best effort: a host without huge pages serves small ones.
    if (config.backing != Backing::private_file)
        ::madvise(mapping.data(), config.size, MADV_HUGEPAGE);
    // Guest memory in a core dump would leak what the guest holds, and take as long as it is large.
    ::madvise(mapping.data(), config.size, MADV_DONTDUMP);
    return mapping;
}

}  // namespace

Result<UniqueFd> share_in_memfd(std::span<RegionConfig> regions) {
    UniqueFd file(::memfd_create("guest memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid()) return fail_errno("guest memory: cannot make a memfd");
    uint64_t total = 0;
    for (RegionConfig& region : regions) {
        region.backing = Backing::shared_memfd;
        region.fd = file.get();
        region.offset = total;
        total += region.size;
    }
    if (::ftruncate(file.get(), static_cast<off_t>(total)) != 0)
        return fail_errno("guest memory: cannot make a memfd of {:#x} bytes", total);
    // Whoever has it could else cut it short under us: SIGBUS.
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail_errno("guest memory: cannot seal its memfd");
    return file;
}

Result<GuestMemory> GuestMemory::create(std::span<const RegionConfig> configs) {
    TRY(check_order(configs));
    GuestMemory memory;
    memory.regions_.reserve(configs.size());
    for (const RegionConfig& config : configs) {
        Region region{.config = config, .mapping = TRY(map_region(config)), .blocks = nullptr};
        if (config.block_size != 0)
            region.blocks = std::make_unique<PluggedBlocks>(config.size, config.block_size);
        memory.regions_.push_back(std::move(region));
    }
    return memory;
}

uint64_t GuestMemory::size() const {
    uint64_t total = 0;
    for (const Region& region : regions_)
        total += region.blocks ? region.blocks->bytes() : region.config.size;
    return total;
}

const GuestMemory::Region* GuestMemory::hotplug_region() const {
    const auto found = std::ranges::find_if(
        regions_, [](const Region& region) { return region.blocks != nullptr; });
    return found == regions_.end() ? nullptr : &*found;
}

const GuestMemory::Region* GuestMemory::find(GuestAddress address) const {
    for (const Region& region : regions_) {
        const GuestAddress base = region.config.base;
        if (address >= base && address.value - base.value < region.config.size) return &region;
    }
    return nullptr;
}

std::optional<std::span<std::byte>> GuestMemory::window(GuestAddress address, uint64_t size) const {
    const Region* region = find(address);
    if (region == nullptr) return std::nullopt;
    const uint64_t offset = address.value - region->config.base.value;
    if (size > region->config.size - offset || !region->has(offset, size)) return std::nullopt;
    return std::span(region->mapping.data() + offset, size);
}

bool GuestMemory::contains(GuestAddress address, uint64_t size) const {
    while (size != 0) {
        const Region* region = find(address);
        if (region == nullptr) return false;
        const uint64_t offset = address.value - region->config.base.value;
        const uint64_t here = std::min(size, region->config.size - offset);
        if (!region->has(offset, here)) return false;
        size -= here;
        const auto next = checked_add(address, here);
        if (!next) return size == 0;
        address = *next;
    }
    return true;
}

bool GuestMemory::append_iovecs(GuestAddress address, uint64_t size,
                                std::vector<iovec>& out) const {
    if (!contains(address, size)) return false;
    while (size != 0) {
        const Region* region = find(address);
        const uint64_t offset = address.value - region->config.base.value;
        const uint64_t here = std::min(size, region->config.size - offset);
        out.push_back(iovec{region->mapping.data() + offset, here});
        size -= here;
        address.value += here;
    }
    return true;
}

bool GuestMemory::read(GuestAddress address, std::span<std::byte> out) const {
    if (const auto bytes = window(address, out.size())) {
        // memcpy takes no null pointer, which is what an empty span may have.
        if (!out.empty()) std::memcpy(out.data(), bytes->data(), out.size());
        return true;
    }
    std::vector<iovec> parts;
    if (!append_iovecs(address, out.size(), parts)) return false;
    for (const iovec& part : parts) {
        std::memcpy(out.data(), part.iov_base, part.iov_len);
        out = out.subspan(part.iov_len);
    }
    return true;
}

bool GuestMemory::write(GuestAddress address, std::span<const std::byte> data) const {
    if (const auto bytes = window(address, data.size())) {
        if (!data.empty()) std::memcpy(bytes->data(), data.data(), data.size());
        return true;
    }
    std::vector<iovec> parts;
    if (!append_iovecs(address, data.size(), parts)) return false;
    for (const iovec& part : parts) {
        std::memcpy(part.iov_base, data.data(), part.iov_len);
        data = data.subspan(part.iov_len);
    }
    return true;
}

std::optional<std::atomic_ref<uint16_t>> GuestMemory::ring_index(GuestAddress address) const {
    if (address.value % alignof(uint16_t) != 0) return std::nullopt;
    const auto bytes = window(address, sizeof(uint16_t));
    if (!bytes) return std::nullopt;
    return std::atomic_ref(*reinterpret_cast<uint16_t*>(bytes->data()));
}

Result<> GuestMemory::discard(GuestAddress address, uint64_t size) const {
    const Region* region = find(address);
    if (region == nullptr || !window(address, size))
        return fail("guest memory: {:#x} of {:#x} bytes is not RAM", address.value, size);
    return discard_in(*region, address.value - region->config.base.value, size);
}

Result<> GuestMemory::discard(std::span<std::byte> bytes) const {
    const auto first = reinterpret_cast<uintptr_t>(bytes.data());
    for (const Region& region : regions_) {
        const uint64_t offset = first - reinterpret_cast<uintptr_t>(region.mapping.data());
        if (offset < region.config.size && bytes.size() <= region.config.size - offset)
            return discard_in(region, offset, bytes.size());
    }
    return fail("guest memory: {} bytes to be discarded are not RAM", bytes.size());
}

Result<> GuestMemory::discard_in(const Region& region, uint64_t offset, uint64_t size) {
    const uint64_t skip = -offset % kPageSize;
    if (size < skip + kPageSize) return {};
    const uint64_t whole = (size - skip) / kPageSize * kPageSize;
    std::byte* const start = region.mapping.data() + offset + skip;
    int status = 0;
    if (region.config.backing == Backing::shared_memfd) {
        // MADV_DONTNEED frees nothing of a shared memfd: the page cache keeps the pages.
        status = ::fallocate(region.config.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                             static_cast<off_t>(region.config.offset + offset + skip),
                             static_cast<off_t>(whole));
    } else if (region.config.backing == Backing::private_file) {
        // DONTNEED would bring the file's bytes back: put zeroed memory there instead.
        void* fresh = ::mmap(start, whole, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        status = fresh == MAP_FAILED ? -1 : 0;
    } else {
        status = ::madvise(start, whole, MADV_DONTNEED);
    }
    if (status != 0) return fail_errno("guest memory: cannot discard {:#x} bytes", whole);
    return {};
}

}  // namespace mote
