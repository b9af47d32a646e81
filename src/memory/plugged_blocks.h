// PluggedBlocks: which blocks of a region of guest memory are there at the moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace mote {

/// One bit a block. One thread at a time changes it; any thread may look meanwhile, and sees each
/// block as it was before or after.
class PluggedBlocks {
  public:
    /// None is plugged. Both in bytes; `block_size` is a power of two, `region_size` a multiple.
    PluggedBlocks(uint64_t region_size, uint64_t block_size);

    [[nodiscard]] uint64_t block_size() const { return uint64_t{1} << shift_; }
    /// Bytes that are plugged, in all.
    [[nodiscard]] uint64_t bytes() const { return plugged_.load(std::memory_order_relaxed); }

    /// True where all bytes of [offset, offset + size), a part of the region, are plugged.
    [[nodiscard]] bool contain(uint64_t offset, uint64_t size) const;
    /// How many bytes of whole blocks [offset, offset + size), a part of the region, are plugged.
    [[nodiscard]] uint64_t bytes_in(uint64_t offset, uint64_t size) const;
    /// Changes whole blocks.
    void set(uint64_t offset, uint64_t size, bool plugged);

  private:
    static constexpr uint64_t kBits = 64;  ///< of a word

    /// Calls `each(word, mask)` for the words that hold blocks [first, end).
    template <class Each>
    static void for_words(uint64_t first, uint64_t end, Each each);

    unsigned shift_;  ///< of a block's size
    std::vector<std::atomic<uint64_t>> words_;
    std::atomic<uint64_t> plugged_ = 0;  ///< bytes
};

}  // namespace mote
