#include "vmm/hotplug_region.h"

#include <algorithm>

#include "control/options.h"
#include "kvm/kvm_api.h"
#include "memory/layout.h"

namespace mote {

namespace {

// Linux adds memory in units of its own: 128 MiB, and in a guest whose RAM ends at 64 GiB or above
// up to 2 GiB. It takes none of a unit that is not usable as a whole.
constexpr uint64_t kUnit = uint64_t{128} << 20U;
constexpr uint64_t kLargestUnit = uint64_t{2} << 30U;
constexpr uint64_t kLargeUnitsFrom = uint64_t{64} << 30U;

class KvmMemorySlots final : public MemorySlots {
  public:
    KvmMemorySlots(const Vm& vm, const GuestMemory::Region& region, uint64_t slot_size,
                   uint32_t first_slot)
        : vm_(vm), region_(region), slot_size_(slot_size), first_slot_(first_slot) {}

    Result<> show(uint64_t index) override {
        const uint64_t offset = index * slot_size_;
        return vm_.set_memory({.slot = number(index),
                               .address = {region_.config.base.value + offset},
                               .data = region_.mapping.data() + offset,
                               .size = slot_size_});
    }
    Result<> hide(uint64_t index) override { return vm_.remove_memory(number(index)); }

  private:
    [[nodiscard]] uint32_t number(uint64_t index) const {
        return first_slot_ + static_cast<uint32_t>(index);
    }

    const Vm& vm_;
    const GuestMemory::Region& region_;
    const uint64_t slot_size_;
    const uint32_t first_slot_;
};

constexpr uint64_t round_up(uint64_t bytes, uint64_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

uint64_t usable_unit(uint64_t ram_bytes, uint64_t slot_size) {
    const RegionConfig last = ram_regions(ram_bytes).back();
    const bool large = last.base.value + last.size >= kLargeUnitsFrom;
    return round_up(slot_size, large ? kLargestUnit : kUnit);
}

}  // namespace

Result<RegionConfig> place_hotplug(uint32_t address_bits, uint64_t ram_bytes,
                                   std::span<const PmemRegion> pmems,
                                   const HotplugMemoryConfig& config) {
    const uint64_t limit = uint64_t{1} << std::min(address_bits, 62U);
    const uint64_t free = pmems.empty() ? device_memory_start(ram_bytes).value
                                        : pmems.back().base.value + pmems.back().mapping.size();
    const uint64_t base = round_up(free, std::max(kLargestUnit, config.block_bytes));
    if (base > limit || config.total_bytes > limit - base)
        return fail(
            "hotplug_memory: {} at {:#x} do not fit into the {} bits that this host gives a "
            "guest's addresses; give the guest more memory from the start instead",
            format_size(config.total_bytes), base, address_bits);
    return RegionConfig{
        .base = {base}, .size = config.total_bytes, .block_size = config.block_bytes};
}

Result<std::unique_ptr<VirtioDevice>> create_memory_device(const Kvm& kvm, const Vm& vm,
                                                           const GuestMemory& memory,
                                                           uint32_t first_slot, uint64_t ram_bytes,
                                                           const HotplugMemoryConfig& config) {
    const uint64_t slots = config.total_bytes / config.slot_bytes;
    const auto possible = static_cast<uint64_t>(kvm.check_extension(KVM_CAP_NR_MEMSLOTS));
    if (first_slot + slots > possible)
        return fail(
            "hotplug_memory: {} slots of {} are too many, this KVM has {}; give larger ones", slots,
            format_size(config.slot_bytes), possible - first_slot);
    auto kvm_slots = std::make_unique<KvmMemorySlots>(vm, *memory.hotplug_region(),
                                                      config.slot_bytes, first_slot);
    return MemoryDevice::create({.slot_size = config.slot_bytes,
                                 .usable_unit = usable_unit(ram_bytes, config.slot_bytes),
                                 .requested_size = config.requested_bytes},
                                memory, std::move(kvm_slots));
}

}  // namespace mote
