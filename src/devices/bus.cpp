#include "devices/bus.h"

#include <algorithm>
#include <cassert>

namespace mote {

void Bus::place(uint64_t base, uint64_t size, IoHandler& handler) {
    assert(std::none_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
        return base < range.base + range.size && range.base < base + size;
    }));
    ranges_.push_back({base, size, &handler});
}

const Bus::Range* Bus::find(uint64_t address, size_t size) const {
    for (const Range& range : ranges_) {
        if (address < range.base) continue;
        const uint64_t offset = address - range.base;
        if (offset < range.size && size <= range.size - offset) return &range;
    }
    return nullptr;
}

void Bus::read(uint64_t address, std::span<std::byte> data) const {
    if (const Range* range = find(address, data.size()))
        range->handler->read(address - range->base, data);
    else
        std::fill(data.begin(), data.end(), std::byte{0xFF});
}

void Bus::write(uint64_t address, std::span<const std::byte> data) const {
    if (const Range* range = find(address, data.size()))
        range->handler->write(address - range->base, data);
}

}  // namespace mote
