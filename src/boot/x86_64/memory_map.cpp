#include "boot/x86_64/memory_map.h"

#include "memory/x86_64/layout.h"

namespace mote {

std::vector<MemoryMapEntry> make_memory_map(const GuestMemory& memory) {
    const uint64_t system_area = layout::kSystemArea.value;
    const uint64_t high_ram = layout::kHighRam.value;
    std::vector<MemoryMapEntry> map{
        {{0}, system_area, MemoryMapEntry::kRam},
        {layout::kSystemArea, high_ram - system_area, MemoryMapEntry::kReserved},
    };
    for (const GuestMemory::Region& region : memory.regions()) {
        if (region.blocks != nullptr) continue;  // its driver tells the guest of it
        const GuestAddress base = region.config.base;
        if (base > layout::kHighRam)
            map.push_back({base, region.config.size, MemoryMapEntry::kRam});
        else if (region.config.size > high_ram - base.value)
            map.push_back({layout::kHighRam, region.config.size - (high_ram - base.value),
                           MemoryMapEntry::kRam});
    }
    return map;
}

}  // namespace mote
