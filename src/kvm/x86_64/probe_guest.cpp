// probe_linux() for x86_64.
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/mapping.h"
#include "base/unique_fd.h"
#include "kvm/kvm_api.h"
#include "kvm/probe.h"

namespace mote {

namespace {

// The probe's memory: 64 KiB at address 0, mapped one to one and open to CPL 3.
constexpr size_t kMemorySize = 0x10000;
constexpr size_t kGdt = 0x500;
constexpr size_t kPageTables = 0x1000;  // PML4, PDPT, PD
constexpr size_t kStack = 0x6000;
constexpr size_t kStep = 0x7000;  // the guest writes here what it is about to do
constexpr size_t kKernel = 0x8000;
constexpr size_t kUser = 0x9000;
constexpr size_t kEntry = 0xA000;
constexpr uint8_t kReportPort = 0x10;

/// What the guest is about to do at each step; index 0 is before its first instruction.
constexpr std::array<std::string_view, 7> kSteps{
    "start in 64-bit mode",
    "execute popcnt",
    "execute cmpxchg16b",
    "execute fwait",
    "go to user space (iretq)",
    "make a system call from user space (syscall)",
    "enter its kernel by a system call",
};

// At CPL 0.
constexpr std::array<uint8_t, 71> kKernelCode{
    0xC6, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00, 0x01,              // movb $1, kStep
    0xF3, 0x48, 0x0F, 0xB8, 0xC0,                                // popcnt %rax, %rax
    0xC6, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00, 0x02,              // movb $2, kStep
    0xF0, 0x48, 0x0F, 0xC7, 0x0C, 0x25, 0x00, 0x71, 0x00, 0x00,  // lock cmpxchg16b 0x7100
    0xC6, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00, 0x03,              // movb $3, kStep
    0xDB, 0xE3,                                                  // fninit
    0x9B,                                                        // fwait
    0xC6, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00, 0x04,              // movb $4, kStep
    0x6A, 0x1B,                                                  // push SS
    0x68, 0x00, 0x60, 0x00, 0x00,                                // push RSP: kStack
    0x68, 0x02, 0x30, 0x00, 0x00,                                // push RFLAGS: IOPL 3
    0x6A, 0x23,                                                  // push CS
    0x68, 0x00, 0x90, 0x00, 0x00,                                // push RIP: kUser
    0x48, 0xCF,                                                  // iretq
};
// At CPL 3.
constexpr std::array<uint8_t, 10> kUserCode{
    0xC6, 0x04, 0x25, 0x00, 0x70, 0x00, 0x00, 0x05,  // movb $5, kStep
    0x0F, 0x05,                                      // syscall
};
// At LSTAR; the report is the code segment, whose lowest two bits are the CPL.
constexpr std::array<uint8_t, 12> kEntryCode{
    0xC6, 0x04,        0x25, 0x00, 0x70, 0x00, 0x00, 0x06,  // movb $6, kStep
    0x8C, 0xC8,                                             // mov %cs, %eax
    0xE6, kReportPort,                                      // out %al, $kReportPort
};

// Selectors, as SYSCALL and IRETQ want them: kernel code and data, user data and code.
constexpr uint16_t kKernelCs = 0x08;
constexpr uint16_t kKernelSs = 0x10;
constexpr std::array<uint64_t, 5> kSegments{0, 0x00AF'9B00'0000'FFFF, 0x00CF'9300'0000'FFFF,
                                            0x00CF'F300'0000'FFFF, 0x00AF'FB00'0000'FFFF};

constexpr uint32_t kMsrEfer = 0xC000'0080;
constexpr uint32_t kMsrStar = 0xC000'0081;
constexpr uint32_t kMsrLstar = 0xC000'0082;
constexpr uint32_t kMsrSyscallMask = 0xC000'0084;
constexpr uint64_t kEferSyscall = 1;
constexpr uint64_t kEferLongMode = 0x500;  // LME and LMA

constexpr size_t kMaxCpuidEntries = 256;

void put(const Mapping& memory, size_t at, const void* data, size_t size) {
    std::memcpy(memory.data() + at, data, size);
}

void fill_memory(const Mapping& memory) {
    constexpr uint64_t kPresentWritableUser = 7;
    constexpr uint64_t kLargePage = 0x80;
    const uint64_t pml4 = (kPageTables + 0x1000) | kPresentWritableUser;
    const uint64_t pdpt = (kPageTables + 0x2000) | kPresentWritableUser;
    const uint64_t pd = kPresentWritableUser | kLargePage;
    put(memory, kPageTables, &pml4, sizeof pml4);
    put(memory, kPageTables + 0x1000, &pdpt, sizeof pdpt);
    put(memory, kPageTables + 0x2000, &pd, sizeof pd);
    put(memory, kGdt, kSegments.data(), sizeof kSegments);
    put(memory, kKernel, kKernelCode.data(), kKernelCode.size());
    put(memory, kUser, kUserCode.data(), kUserCode.size());
    put(memory, kEntry, kEntryCode.data(), kEntryCode.size());
}

/// The VM of one probe. Members are destroyed from the last on.
struct ProbeVm {
    Mapping memory;
    UniqueFd vm;
    UniqueFd vcpu;
    Mapping run_mapping;
    [[nodiscard]] kvm_run& run() const { return *reinterpret_cast<kvm_run*>(run_mapping.data()); }
};

Result<> set_cpuid(const Kvm& kvm, const UniqueFd& vcpu) {
    const size_t size = sizeof(kvm_cpuid2) + kMaxCpuidEntries * sizeof(kvm_cpuid_entry2);
    std::vector<uint64_t> storage((size + 7) / 8);
    auto* cpuid = reinterpret_cast<kvm_cpuid2*>(storage.data());
    cpuid->nent = kMaxCpuidEntries;
    if (::ioctl(kvm.fd(), KVM_GET_SUPPORTED_CPUID, cpuid) != 0 ||
        ::ioctl(vcpu.get(), KVM_SET_CPUID2, cpuid) != 0)
        return fail_errno("cannot set the CPUID of a vCPU");
    return {};
}

Result<> set_registers(const UniqueFd& vcpu) {
    kvm_sregs sregs{};
    if (::ioctl(vcpu.get(), KVM_GET_SREGS, &sregs) != 0)
        return fail_errno("cannot read the registers of a vCPU");
    const auto segment = [](uint16_t selector, uint8_t type, bool is_code) {
        kvm_segment value{};
        value.limit = 0xFFFF'FFFF;
        value.selector = selector;
        value.type = type;
        value.present = 1;
        value.s = 1;
        value.g = 1;
        value.l = is_code ? 1 : 0;
        value.db = is_code ? 0 : 1;
        return value;
    };
    sregs.cs = segment(kKernelCs, 11, true);
    sregs.ds = sregs.es = sregs.ss = segment(kKernelSs, 3, false);
    sregs.gdt.base = kGdt;
    sregs.gdt.limit = sizeof kSegments - 1;
    sregs.cr0 = 0x8001'0033;  // PG, WP, NE, ET, MP, PE
    sregs.cr3 = kPageTables;
    sregs.cr4 = 0x620;  // OSXMMEXCPT, OSFXSR, PAE
    sregs.efer = kEferLongMode | kEferSyscall;
    kvm_regs regs{};
    regs.rip = kKernel;
    regs.rsp = kStack;
    regs.rflags = 2;
    if (::ioctl(vcpu.get(), KVM_SET_SREGS, &sregs) != 0 ||
        ::ioctl(vcpu.get(), KVM_SET_REGS, &regs) != 0)
        return fail_errno("cannot set the registers of a vCPU");
    return {};
}

Result<> set_msrs(const UniqueFd& vcpu) {
    // STAR: the selectors of SYSCALL, and those of SYSRET (0x10, from which come 0x18 and 0x20).
    const std::array<kvm_msr_entry, 4> entries{
        {{.index = kMsrEfer, .reserved = 0, .data = kEferLongMode | kEferSyscall},
         {.index = kMsrStar,
          .reserved = 0,
          .data = (uint64_t{kKernelSs | 3U} << 48U) | (uint64_t{kKernelCs} << 32U)},
         {.index = kMsrLstar, .reserved = 0, .data = kEntry},
         {.index = kMsrSyscallMask, .reserved = 0, .data = 0}}};
    alignas(kvm_msrs) std::array<std::byte, sizeof(kvm_msrs) + sizeof entries> msrs{};
    auto* header = reinterpret_cast<kvm_msrs*>(msrs.data());
    header->nmsrs = static_cast<uint32_t>(entries.size());
    std::memcpy(header->entries, entries.data(), sizeof entries);
    if (::ioctl(vcpu.get(), KVM_SET_MSRS, header) != static_cast<int>(entries.size()))
        return fail_errno("cannot set the system call registers of a vCPU");
    return {};
}

Result<ProbeVm> make_vm(const Kvm& kvm) {
    ProbeVm probe;
    probe.memory = TRY(Mapping::anonymous(kMemorySize));
    fill_memory(probe.memory);
    probe.vm.reset(::ioctl(kvm.fd(), KVM_CREATE_VM, 0));
    if (!probe.vm.valid()) return fail_errno("cannot create a VM");
    kvm_userspace_memory_region region{};
    region.memory_size = kMemorySize;
    region.userspace_addr = reinterpret_cast<uint64_t>(probe.memory.data());
    if (::ioctl(probe.vm.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0)
        return fail_errno("cannot give a VM memory");
    // Intel needs a place for its own tables; others accept it.
    ::ioctl(probe.vm.get(), KVM_SET_TSS_ADDR, 0xFFFB'D000);
    probe.vcpu.reset(::ioctl(probe.vm.get(), KVM_CREATE_VCPU, 0));
    if (!probe.vcpu.valid()) return fail_errno("cannot create a vCPU");
    const size_t run_size = TRY(kvm.vcpu_mapping_size());
    probe.run_mapping = TRY(Mapping::create(run_size, MAP_SHARED, probe.vcpu.get(), 0, 0));
    TRY(set_cpuid(kvm, probe.vcpu));
    TRY(set_registers(probe.vcpu));
    TRY(set_msrs(probe.vcpu));
    return probe;
}

/// While it lives, SIGALRM interrupts what this thread waits for, every second.
class Alarm {
  public:
    Alarm() {
        struct sigaction action{};
        action.sa_handler = [](int) {};  // without SA_RESTART: KVM_RUN returns
        ::sigaction(SIGALRM, &action, &before_);
        const itimerval second{.it_interval = {.tv_sec = 1, .tv_usec = 0},
                               .it_value = {.tv_sec = 1, .tv_usec = 0}};
        ::setitimer(ITIMER_REAL, &second, nullptr);
    }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    ~Alarm() {
        const itimerval off{};
        ::setitimer(ITIMER_REAL, &off, nullptr);
        ::sigaction(SIGALRM, &before_, nullptr);
    }

  private:
    struct sigaction before_{};
};

/// What the guest did last.
std::string_view step_of(const ProbeVm& probe) {
    const auto step = static_cast<size_t>(probe.memory.data()[kStep]);
    return kSteps[std::min(step, kSteps.size() - 1)];
}

Result<> judge(const ProbeVm& probe) {
    const kvm_run& run = probe.run();
    switch (run.exit_reason) {
        case KVM_EXIT_IO: {
            const auto code_segment =
                static_cast<unsigned>(probe.run_mapping.data()[run.io.data_offset]);
            if (run.io.port == kReportPort && (code_segment & 3U) == 0) return {};
            return fail(
                "a system call from user space arrives in the kernel at privilege level {}, "
                "not 0",
                code_segment & 3U);
        }
        case KVM_EXIT_INTERNAL_ERROR:
            return fail("the guest cannot {} (KVM internal error {})", step_of(probe),
                        run.internal.suberror);
        case KVM_EXIT_SHUTDOWN:
            return fail("the guest cannot {} (triple fault)", step_of(probe));
        default:
            return fail("the guest cannot {} (exit {})", step_of(probe), run.exit_reason);
    }
}

}  // namespace

Result<> probe_linux(const Kvm& kvm) {
    const ProbeVm probe = TRY(make_vm(kvm));
    const Alarm alarm;
    if (::ioctl(probe.vcpu.get(), KVM_RUN, 0) == 0) return judge(probe);
    if (errno == EINTR) return fail("the guest cannot {} within a second", step_of(probe));
    return fail_errno("the guest cannot {}", step_of(probe));
}

}  // namespace mote
