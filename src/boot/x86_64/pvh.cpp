#include "boot/x86_64/pvh.h"

#include <cstddef>

#include "base/endian.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

struct StartInfo {
    le32 magic;             // 0: kMagic
    le32 version;           // 4: 1, which added the memory map
    le32 flags;             // 8
    le32 module_count;      // 12
    le64 modules;           // 16: address of the module list
    le64 command_line;      // 24
    le64 rsdp;              // 32: 0 for none
    le64 memory_map;        // 40
    le32 memory_map_count;  // 48
    le32 reserved;          // 52
};
static_assert(sizeof(StartInfo) == 56 && offsetof(StartInfo, memory_map) == 40);
static_assert(layout::kPvhStartInfo.value + sizeof(StartInfo) <= layout::kPvhModules.value);

struct Module {
    le64 address;       // 0
    le64 size;          // 8
    le64 command_line;  // 16: 0 for none
    le64 reserved;      // 24
};
static_assert(sizeof(Module) == 32);

struct MapEntry {
    le64 address;   // 0
    le64 size;      // 8
    le32 type;      // 16
    le32 reserved;  // 20
};
static_assert(sizeof(MapEntry) == 24);

constexpr uint32_t kMagic = 0x336E'C578;

}  // namespace

void write_pvh_start_info(const GuestMemory& memory, std::span<const MemoryMapEntry> map,
                          const BootData& data) {
    StartInfo info{};
    info.magic = kMagic;
    info.version = 1;
    info.command_line = layout::kCommandLine.value;
    info.rsdp = data.rsdp.value_or(GuestAddress{0}).value;
    info.memory_map = layout::kPvhMemoryMap.value;
    info.memory_map_count = static_cast<uint32_t>(map.size());
    if (data.initrd) {
        info.module_count = 1;
        info.modules = layout::kPvhModules.value;
        Module module{};
        module.address = data.initrd->base.value;
        module.size = data.initrd->size;
        memory.store(layout::kPvhModules, module);
    }
    memory.store(layout::kPvhStartInfo, info);
    GuestAddress at = layout::kPvhMemoryMap;
    for (const MemoryMapEntry& range : map) {
        MapEntry entry{};
        entry.address = range.base.value;
        entry.size = range.size;
        entry.type = range.type;
        memory.store(at, entry);
        at.value += sizeof(MapEntry);
    }
}

}  // namespace mote
