#include "vmm/x86_64/cpu_setup.h"

#include <array>

#include "kvm/x86_64/cpuid.h"
#include "kvm/x86_64/registers.h"

namespace mote {

namespace {

// MSRs as firmware leaves them: Linux takes string instructions for slow
// without the first, and all memory for uncached without the second (Intel SDM
// vol. 4; MTRRs enabled, write-back).
constexpr std::array<kvm_msr_entry, 2> kFirmwareMsrs{{
    {.index = 0x1A0, .reserved = 0, .data = 1},      // IA32_MISC_ENABLE: fast strings
    {.index = 0x2FF, .reserved = 0, .data = 0x806},  // IA32_MTRR_DEF_TYPE
}};

/// A segment descriptor's parts, from the attribute bits as they lie in bits 40
/// to 55 of it.
kvm_segment segment(const SegmentValue& value) {
    const unsigned bits = value.attributes;
    kvm_segment result{};
    result.base = value.base;
    result.limit = value.limit;
    result.selector = value.selector;
    result.type = bits & 0xFU;
    result.s = (bits >> 4U) & 1U;
    result.dpl = (bits >> 5U) & 3U;
    result.present = (bits >> 7U) & 1U;
    result.avl = (bits >> 12U) & 1U;
    result.l = (bits >> 13U) & 1U;
    result.db = (bits >> 14U) & 1U;
    result.g = (bits >> 15U) & 1U;
    return result;
}

Result<> set_boot_registers(const Vcpu& vcpu, const CpuStart& start) {
    kvm_sregs sregs = TRY(special_registers(vcpu));
    sregs.cs = segment(start.code);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment(start.data);
    sregs.tr = segment(start.tss);
    sregs.gdt = {.base = start.gdt_base, .limit = start.gdt_limit, .padding = {}};
    sregs.idt = {.base = start.idt_base, .limit = start.idt_limit, .padding = {}};
    sregs.cr0 = start.cr0;
    sregs.cr3 = start.cr3;
    sregs.cr4 = start.cr4;
    sregs.efer = start.efer;
    TRY(set_special_registers(vcpu, sregs));

    kvm_regs regs{};
    regs.rip = start.rip;
    regs.rsp = regs.rbp = start.rsp;
    regs.rbx = start.rbx;
    regs.rsi = start.rsi;
    regs.rflags = start.rflags;
    return set_general_registers(vcpu, regs);
}

}  // namespace

Result<> set_up_cpus(const Kvm& kvm, std::span<Vcpu* const> vcpus, const CpuStart& start) {
    const auto count = static_cast<uint32_t>(vcpus.size());
    const Cpuid cpuid = TRY(Cpuid::create(kvm, count, tsc_khz(*vcpus[0])));
    for (const Vcpu* vcpu : vcpus) {
        TRY(cpuid.apply(*vcpu));
        TRY(set_msrs(*vcpu, kFirmwareMsrs));
    }
    return set_boot_registers(*vcpus[0], start);
}

}  // namespace mote
