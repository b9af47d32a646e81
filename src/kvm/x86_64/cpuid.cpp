#include "kvm/x86_64/cpuid.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace mote {

namespace {

constexpr size_t kMaxEntries = 256;  // KVM_MAX_CPUID_ENTRIES

// Leaves (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; Linux virt/kvm/x86/cpuid.rst).
constexpr uint32_t kFeatures = 0x1;
constexpr uint32_t kIntelCaches = 0x4;
constexpr uint32_t kPower = 0x6;
constexpr uint32_t kPerformanceMonitoring = 0xA;
constexpr uint32_t kTopology = 0xB;
constexpr uint32_t kTscFrequency = 0x15;
constexpr uint32_t kTopologyV2 = 0x1F;
constexpr uint32_t kHypervisor = 0x4000'0000;
constexpr uint32_t kHypervisorTiming = 0x4000'0010;
constexpr uint32_t kAmdFeatures = 0x8000'0001;
constexpr uint32_t kAmdSizes = 0x8000'0008;
constexpr uint32_t kAmdSvm = 0x8000'000A;
constexpr uint32_t kAmdCaches = 0x8000'001D;
constexpr uint32_t kAmdTopology = 0x8000'001E;

constexpr uint32_t bit(unsigned index) {
    return uint32_t{1} << index;
}

constexpr uint32_t kEcxTscDeadline = bit(24);
constexpr uint32_t kEcxHypervisor = bit(31);
constexpr uint32_t kEcxX2apic = bit(21);
constexpr uint32_t kEcxPdcm = bit(15);
constexpr uint32_t kEcxVmx = bit(5);
constexpr uint32_t kEcxSvm = bit(2);  // of kAmdFeatures
constexpr uint32_t kEdxHyperThreading = bit(28);
constexpr uint32_t kEaxArat = bit(2);

constexpr uint32_t kApicBusKhz = 1'000'000;  // of KVM's local APIC

constexpr uint32_t kLevelThread = 1;
constexpr uint32_t kLevelCore = 2;

/// Bits of an APIC id that tell cores apart.
uint32_t core_bits(uint32_t cpus) {
    uint32_t bits = 0;
    while (bit(bits) < cpus)
        ++bits;
    return bits;
}

/// Puts `value` into bits [low, low + width) of `field`.
void set_bits(uint32_t& field, unsigned low, unsigned width, uint32_t value) {
    const uint32_t mask = (bit(width) - 1U) << low;
    field = (field & ~mask) | ((value << low) & mask);
}

bool is_intel_like(const std::vector<kvm_cpuid_entry2>& entries) {
    return std::any_of(entries.begin(), entries.end(), [](const kvm_cpuid_entry2& entry) {
        return entry.function == 0 && entry.ebx == 0x756E'6547;  // "Genu"
    });
}

void drop(std::vector<kvm_cpuid_entry2>& entries, uint32_t function) {
    std::erase_if(entries, [=](const kvm_cpuid_entry2& e) { return e.function == function; });
}

/// Cores of one thread below one package (SDM, leaf 0xB; 0x1F has the same form).
void add_topology(std::vector<kvm_cpuid_entry2>& entries, uint32_t function, uint32_t cpus) {
    drop(entries, function);
    kvm_cpuid_entry2 level{};
    level.function = function;
    level.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    level.ebx = 1;
    level.ecx = kLevelThread << 8U;
    entries.push_back(level);
    level.index = 1;
    level.eax = core_bits(cpus);
    level.ebx = cpus;
    level.ecx = (kLevelCore << 8U) | 1U;
    entries.push_back(level);
    level.index = 2;
    level.eax = level.ebx = 0;
    level.ecx = 2;
    entries.push_back(level);
}

/// L1 and L2 belong to one core, L3 to all of them.
void share_cache(kvm_cpuid_entry2& entry, uint32_t cpus) {
    const uint32_t level = (entry.eax >> 5U) & 7U;
    set_bits(entry.eax, 14, 12, level >= 3 ? cpus - 1 : 0);
}

void fit_entry(kvm_cpuid_entry2& entry, uint32_t cpus) {
    switch (entry.function) {
        case kFeatures:
            entry.ecx |= kEcxTscDeadline | kEcxHypervisor | kEcxX2apic;
            entry.ecx &= ~kEcxPdcm;  // goes with the performance counters
            // Virtualization inside the guest would open KVM's code for it to a stranger.
            entry.ecx &= ~kEcxVmx;
            set_bits(entry.ebx, 16, 8, std::bit_ceil(cpus));
            if (cpus > 1) entry.edx |= kEdxHyperThreading;
            break;
        case kIntelCaches:
            if ((entry.eax & 0x1FU) == 0) break;
            share_cache(entry, cpus);
            set_bits(entry.eax, 26, 6, std::bit_ceil(cpus) - 1);
            break;
        case kPower:
            // The local APIC's timer runs on in every idle state, else Linux looks for a PIT.
            entry.eax = kEaxArat;
            entry.ebx = entry.ecx = entry.edx = 0;
            break;
        case kPerformanceMonitoring:
            entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
            break;
        case kAmdFeatures:
            entry.ecx &= ~kEcxSvm;
            break;
        case kAmdSizes:
            set_bits(entry.ecx, 0, 8, cpus - 1);
            set_bits(entry.ecx, 12, 4, core_bits(cpus));
            break;
        case kAmdCaches:
            if ((entry.eax & 0x1FU) != 0) share_cache(entry, cpus);
            break;
        default:
            break;
    }
}

void add_timing(std::vector<kvm_cpuid_entry2>& entries, uint32_t tsc_khz) {
    if (tsc_khz == 0) return;
    kvm_cpuid_entry2 timing{};
    timing.function = kHypervisorTiming;
    timing.eax = tsc_khz;
    timing.ebx = kApicBusKhz;
    entries.push_back(timing);
    for (kvm_cpuid_entry2& entry : entries)
        if (entry.function == kHypervisor) entry.eax = std::max(entry.eax, kHypervisorTiming);
    if (!is_intel_like(entries)) return;
    drop(entries, kTscFrequency);
    // For kernels without kvm-clock, as the machine has no other clock to measure by. They take the
    // crystal for the local APIC's bus, so it is that one; Linux multiplies in 32 bits of kHz,
    // which leaves whole MHz for the ratio.
    kvm_cpuid_entry2 frequency{};
    frequency.function = kTscFrequency;
    frequency.eax = 1000;
    frequency.ebx = (tsc_khz + 500) / 1000;
    frequency.ecx = kApicBusKhz * 1000;
    entries.push_back(frequency);
}

}  // namespace

Cpuid Cpuid::from_supported(std::vector<kvm_cpuid_entry2> supported, uint32_t cpus,
                            uint32_t tsc_khz) {
    for (kvm_cpuid_entry2& entry : supported)
        fit_entry(entry, cpus);
    drop(supported, kAmdSvm);
    add_topology(supported, kTopology, cpus);
    if (is_intel_like(supported)) add_topology(supported, kTopologyV2, cpus);
    add_timing(supported, tsc_khz);
    return Cpuid(std::move(supported));
}

Result<Cpuid> Cpuid::create(const Kvm& kvm, uint32_t cpus, uint32_t tsc_khz) {
    std::vector<std::byte> buffer(sizeof(kvm_cpuid2) + kMaxEntries * sizeof(kvm_cpuid_entry2));
    auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
    list->nent = kMaxEntries;
    if (::ioctl(kvm.fd(), KVM_GET_SUPPORTED_CPUID, list) != 0)
        return fail_errno("/dev/kvm: cannot read the supported CPUID");
    return from_supported({list->entries, list->entries + list->nent}, cpus, tsc_khz);
}

std::vector<kvm_cpuid_entry2> Cpuid::entries_for(uint32_t id) const {
    std::vector<kvm_cpuid_entry2> entries = entries_;
    for (kvm_cpuid_entry2& entry : entries) {
        if (entry.function == kFeatures) set_bits(entry.ebx, 24, 8, id);
        if (entry.function == kTopology || entry.function == kTopologyV2) entry.edx = id;
        if (entry.function == kAmdTopology) {
            entry.eax = id;
            entry.ebx = id;  // core id, one thread a core
            entry.ecx = 0;   // node 0 of 1
        }
    }
    return entries;
}

Result<> Cpuid::apply(const Vcpu& vcpu) const {
    const std::vector<kvm_cpuid_entry2> entries = entries_for(vcpu.id());
    const size_t bytes = entries.size() * sizeof(kvm_cpuid_entry2);
    std::vector<std::byte> buffer(sizeof(kvm_cpuid2) + bytes);
    auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
    list->nent = static_cast<uint32_t>(entries.size());
    std::memcpy(list->entries, entries.data(), bytes);
    if (::ioctl(vcpu.fd(), KVM_SET_CPUID2, list) != 0)
        return fail_errno("KVM: cannot set the CPUID of vCPU {}", vcpu.id());
    return {};
}

}  // namespace mote
