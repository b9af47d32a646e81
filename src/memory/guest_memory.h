// GuestMemory: the guest's RAM, and the only way to touch it.
//
// There is never a T& into guest memory: the guest can change it at any instant. Copy once, check
// the copy, use the copy. Bulk data goes through windows (iovecs), which outlive no request. The
// one exception are ring indices, by ring_index().
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/guest_address.h"
#include "memory/plugged_blocks.h"

namespace mote {

/// What a region's bytes live in. Decides how discarding works.
enum class Backing : uint8_t {
    anonymous,     ///< private zeroed memory, transparent huge pages wherever the host has them
    shared_memfd,  ///< a memfd, shared with another process (vhost-user)
    private_file,  ///< a file, mapped copy-on-write (restore)
};

/// One contiguous range of guest RAM.
struct RegionConfig {
    GuestAddress base;
    uint64_t size = 0;  ///< bytes, a multiple of the page size
    Backing backing = Backing::anonymous;
    int fd = -1;          ///< of shared_memfd and private_file; stays the caller's
    uint64_t offset = 0;  ///< of the region's first byte in `fd`
    /// Where it is not 0: the region is RAM by blocks of this size, a power of two, and none is
    /// there at first.
    uint64_t block_size = 0;
};

/// Moves the backing of `regions`, which have none made yet, into one new memfd that nobody can
/// make shorter or longer: for RAM that another process is to share. The caller keeps what is
/// returned open while the memory is used. Errors: EMFILE, ENFILE, ENOMEM, EFBIG.
Result<UniqueFd> share_in_memfd(std::span<RegionConfig> regions);

/// All guest RAM. Reading and writing may be done from any thread; regions are fixed after
/// create(). Every access is checked: it lies wholly in RAM or does not happen.
///
/// Blocks that come and go do so between two accesses. One that is under way when its block is
/// unplugged, or a ring in there, still reaches the region's mapping, which stays: it harms nobody
/// but the guest that unplugs what it uses.
class GuestMemory {
  public:
    struct Region {
        RegionConfig config;
        Mapping mapping;
        std::unique_ptr<PluggedBlocks> blocks;  ///< null where all of it is RAM, always

        /// `size` bytes at `offset`, both within the region, are RAM.
        [[nodiscard]] bool has(uint64_t offset, uint64_t size) const {
            return blocks == nullptr || blocks->contain(offset, size);
        }
    };

    /// Maps the regions (sorted, not overlapping). Costs address space, not memory, until touched.
    /// Errors: ENOMEM, or the fd's own.
    static Result<GuestMemory> create(std::span<const RegionConfig> configs);

    [[nodiscard]] std::span<const Region> regions() const { return regions_; }
    /// The region whose blocks come and go; null where there is none.
    [[nodiscard]] const Region* hotplug_region() const;
    /// Bytes of RAM at the moment.
    [[nodiscard]] uint64_t size() const;

    /// True where [address, address + size) is RAM without a gap.
    [[nodiscard]] bool contains(GuestAddress address, uint64_t size) const;

    /// The bytes at `address`, where they lie in one region; for bulk copies and system calls only.
    [[nodiscard]] std::optional<std::span<std::byte>> window(GuestAddress address,
                                                             uint64_t size) const;
    /// Appends the host ranges behind [address, address + size) to `out`, one for each region that
    /// it crosses; false, with `out` unchanged, where part of it is not RAM.
    bool append_iovecs(GuestAddress address, uint64_t size, std::vector<iovec>& out) const;

    /// Copies out of or into the guest; false, with nothing copied, where part is not RAM.
    bool read(GuestAddress address, std::span<std::byte> out) const;
    bool write(GuestAddress address, std::span<const std::byte> data) const;

    /// One copied value of a trivially copyable type, or nothing where it is not RAM.
    template <class T>
    [[nodiscard]] std::optional<T> load(GuestAddress address) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        if (!read(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
        return value;
    }
    template <class T>
    bool store(GuestAddress address, const T& value) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(address, std::as_bytes(std::span(&value, 1)));
    }

    /// A ring index, for acquire and release access (virtio 1.2, 2.7.13). Nothing where `address`
    /// is odd or not RAM. The caller may keep it while the queue lives: regions are fixed.
    [[nodiscard]] std::optional<std::atomic_ref<uint16_t>> ring_index(GuestAddress address) const;

    /// Gives the whole pages in [address, address + size) back to the host; they read as zero
    /// after. Errors: not RAM, or what madvise(2)/fallocate(2) says.
    Result<> discard(GuestAddress address, uint64_t size) const;
    /// The same for host bytes that window() or append_iovecs() gave out, or of a region's mapping.
    Result<> discard(std::span<std::byte> bytes) const;

  private:
    [[nodiscard]] const Region* find(GuestAddress address) const;
    static Result<> discard_in(const Region& region, uint64_t offset, uint64_t size);

    std::vector<Region> regions_;
};

}  // namespace mote
