#include "kvm/x86_64/cpuid.h"

#include <algorithm>

#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint32_t kIntel = 0x756E'6547;
constexpr uint32_t kAmd = 0x6874'7541;

std::vector<kvm_cpuid_entry2> host(uint32_t vendor) {
    std::vector<kvm_cpuid_entry2> entries(7);
    entries[0].ebx = vendor;
    entries[1].function = 1;
    entries[1].ecx = 1U << 15U;
    entries[2].function = 4;
    entries[2].eax = 0xFC00'4143;  // an L2 cache shared by many
    entries[3].function = 0xA;
    entries[3].eax = 0x0730'0404;
    entries[4].function = 0x4000'0000;
    entries[4].eax = 0x4000'0001;
    entries[5].function = 0x8000'0008;
    entries[5].ecx = 0x703F;
    entries[6].function = 0x8000'001E;
    return entries;
}

kvm_cpuid_entry2 entry(const Cpuid& cpuid, uint32_t id, uint32_t function, uint32_t index = 0) {
    for (const auto& found : cpuid.entries_for(id))
        if (found.function == function && found.index == index) return found;
    FAIL("no leaf " << function);
    return {};
}

bool has(const Cpuid& cpuid, uint32_t function) {
    const auto entries = cpuid.entries_for(0);
    return std::any_of(entries.begin(), entries.end(),
                       [=](const auto& e) { return e.function == function; });
}

}  // namespace

TEST_CASE("Cpuid: leaf 1 has the APIC id, the timer, x2APIC and no performance monitor") {
    const Cpuid cpuid = Cpuid::from_supported(host(kIntel), 3, 0);
    const auto leaf = entry(cpuid, 2, 1);
    CHECK(leaf.ebx >> 24U == 2);
    CHECK(((leaf.ebx >> 16U) & 0xFFU) == 4);  // next power of two
    CHECK((leaf.ecx & (1U << 24U)) != 0);
    CHECK((leaf.ecx & (1U << 31U)) != 0);
    CHECK((leaf.ecx & (1U << 21U)) != 0);
    CHECK((leaf.ecx & (1U << 15U)) == 0);
    CHECK((leaf.edx & (1U << 28U)) != 0);
    CHECK(entry(cpuid, 0, 0xA).eax == 0);
    CHECK((entry(Cpuid::from_supported(host(kIntel), 1, 0), 0, 1).edx & (1U << 28U)) == 0);
}

TEST_CASE("Cpuid: the topology is one package of cores with one thread each") {
    const Cpuid cpuid = Cpuid::from_supported(host(kIntel), 6, 0);
    for (const uint32_t function : {0xBU, 0x1FU}) {
        CHECK(entry(cpuid, 5, function, 0).eax == 0);
        CHECK(entry(cpuid, 5, function, 0).ebx == 1);
        CHECK(entry(cpuid, 5, function, 0).ecx == 0x100);
        CHECK(entry(cpuid, 5, function, 1).eax == 3);
        CHECK(entry(cpuid, 5, function, 1).ebx == 6);
        CHECK(entry(cpuid, 5, function, 1).ecx == 0x201);
        CHECK(entry(cpuid, 5, function, 1).edx == 5);
        CHECK(entry(cpuid, 5, function, 2).ebx == 0);
    }
    const auto cache = entry(cpuid, 0, 4);
    CHECK(((cache.eax >> 14U) & 0xFFFU) == 0);
    CHECK(cache.eax >> 26U == 7);
}

TEST_CASE("Cpuid: AMD guests find core counts and ids in the leaves of their own") {
    const Cpuid cpuid = Cpuid::from_supported(host(kAmd), 4, 2'000'000);
    CHECK(entry(cpuid, 0, 0x8000'0008).ecx == 0x2003);
    CHECK(entry(cpuid, 3, 0x8000'001E).eax == 3);
    CHECK(entry(cpuid, 3, 0x8000'001E).ebx == 3);
    CHECK_FALSE(has(cpuid, 0x15));
    CHECK_FALSE(has(cpuid, 0x1F));
}

TEST_CASE("Cpuid: the TSC frequency is told where it is known") {
    const Cpuid cpuid = Cpuid::from_supported(host(kIntel), 1, 2'500'000);
    CHECK(entry(cpuid, 0, 0x4000'0010).eax == 2'500'000);
    CHECK(entry(cpuid, 0, 0x4000'0000).eax == 0x4000'0010);
    const auto frequency = entry(cpuid, 0, 0x15);
    CHECK(uint64_t{frequency.ecx} * frequency.ebx / frequency.eax == 2'500'000'000U);
    CHECK(frequency.ecx == 1'000'000'000U);  // Linux takes it for the local APIC's
    // Linux's own sum, in 32 bits of kHz.
    const Cpuid odd = Cpuid::from_supported(host(kIntel), 1, 2'599'987);
    const auto rounded = entry(odd, 0, 0x15);
    CHECK(rounded.ecx / 1000 * rounded.ebx / rounded.eax == 2'600'000);
    const Cpuid unknown = Cpuid::from_supported(host(kIntel), 1, 0);
    CHECK_FALSE(has(unknown, 0x4000'0010));
    CHECK_FALSE(has(unknown, 0x15));
}

TEST_CASE("Cpuid: no guest finds virtualization of its own") {
    for (const uint32_t vendor : {kIntel, kAmd}) {
        auto supported = host(vendor);
        for (kvm_cpuid_entry2& leaf : supported)
            if (leaf.function == 1 || leaf.function == 0x8000'0001) leaf.ecx = 0xFFFF'FFFF;
        kvm_cpuid_entry2 amd{};
        amd.function = 0x8000'0001;
        amd.ecx = 0xFFFF'FFFF;
        kvm_cpuid_entry2 svm{};
        svm.function = 0x8000'000A;
        supported.insert(supported.end(), {amd, svm});
        const Cpuid cpuid = Cpuid::from_supported(supported, 1, 2'000'000);
        CHECK((entry(cpuid, 0, 1).ecx & (1U << 5U)) == 0);            // VMX
        CHECK((entry(cpuid, 0, 0x8000'0001).ecx & (1U << 2U)) == 0);  // SVM
        CHECK_FALSE(has(cpuid, 0x8000'000A));
    }
}
