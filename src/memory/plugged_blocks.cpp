#include "memory/plugged_blocks.h"

#include <algorithm>
#include <bit>

namespace mote {

PluggedBlocks::PluggedBlocks(uint64_t region_size, uint64_t block_size)
    : shift_(static_cast<unsigned>(std::countr_zero(block_size))),
      words_(((region_size >> shift_) + kBits - 1) / kBits) {}

template <class Each>
void PluggedBlocks::for_words(uint64_t first, uint64_t end, Each each) {
    while (first < end) {
        const uint64_t bit = first % kBits;
        const uint64_t count = std::min(end - first, kBits - bit);
        each(first / kBits, (~uint64_t{0} >> (kBits - count)) << bit);
        first += count;
    }
}

// Acquire: who finds a block plugged finds all done that was to be done before it was.
bool PluggedBlocks::contain(uint64_t offset, uint64_t size) const {
    if (size == 0) return true;
    bool all = true;
    for_words(offset >> shift_, ((offset + size - 1) >> shift_) + 1,
              [&](uint64_t word, uint64_t mask) {
                  all = all && (~words_[word].load(std::memory_order_acquire) & mask) == 0;
              });
    return all;
}

uint64_t PluggedBlocks::bytes_in(uint64_t offset, uint64_t size) const {
    uint64_t blocks = 0;
    for_words(offset >> shift_, (offset + size) >> shift_, [&](uint64_t word, uint64_t mask) {
        blocks += static_cast<uint64_t>(
            std::popcount(words_[word].load(std::memory_order_acquire) & mask));
    });
    return blocks << shift_;
}

void PluggedBlocks::set(uint64_t offset, uint64_t size, bool plugged) {
    const uint64_t before = bytes_in(offset, size);
    for_words(offset >> shift_, (offset + size) >> shift_, [&](uint64_t word, uint64_t mask) {
        if (plugged)
            words_[word].fetch_or(mask, std::memory_order_release);
        else
            words_[word].fetch_and(~mask, std::memory_order_release);
    });
    plugged_.store(plugged_.load(std::memory_order_relaxed) - before + (plugged ? size : 0),
                   std::memory_order_relaxed);
}

}  // namespace mote
