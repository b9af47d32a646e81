// check_kvm().
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "base/small_file.h"
#include "kvm/probe.h"
#include "vmm/preflight.h"

namespace mote {

namespace {

constexpr const char* kKvmPath = "/dev/kvm";

/// The host's CPU as /proc/cpuinfo has it.
struct HostCpu {
    bool intel = false;  ///< vmx
    bool amd = false;    ///< svm
    bool in_vm = false;  ///< this host is a VM itself
};

HostCpu host_cpu() {
    const std::string info = read_small_file("/proc/cpuinfo");
    const size_t begin = info.find("\nflags");
    if (begin == std::string::npos) return {};
    const std::string flags = info.substr(begin, info.find('\n', begin + 1) - begin) + ' ';
    const auto has = [&](const char* flag) { return flags.find(flag) != std::string::npos; };
    return {.intel = has(" vmx "), .amd = has(" svm "), .in_vm = has(" hypervisor ")};
}

/// The module behind /dev/kvm, or "" where it is none of those known.
std::string_view kvm_module() {
    for (const std::string_view name : {"kvm_intel", "kvm_amd", "kvm_pvm"})
        if (::access(fmt::format("/sys/module/{}", name).c_str(), F_OK) == 0) return name;
    return "";
}

std::string advice_without_device(const HostCpu& cpu) {
    if (cpu.intel) return "modprobe kvm_intel (if it refuses: enable VT-x in the firmware)";
    if (cpu.amd) return "modprobe kvm_amd (if it refuses: enable AMD-V in the firmware)";
    if (cpu.in_vm)
        return "this host is a VM: turn on nested virtualization for it at its own host, or use "
               "tools/lab";
    return "this CPU shows no VT-x or AMD-V: enable it in the firmware, or use tools/lab";
}

std::string advice_without_permission() {
    struct stat status{};
    if (::stat(kKvmPath, &status) == 0 && status.st_gid != 0 && (status.st_mode & 0060U) == 0060U)
        return fmt::format(
            "join the group of /dev/kvm ({}, usually kvm): sudo usermod -aG kvm $USER, "
            "then log in again",
            status.st_gid);
    return "give yourself access: sudo setfacl -m u:$USER:rw /dev/kvm";
}

void explain_failed_open(Preflight& report, const Error& error) {
    const HostCpu cpu = host_cpu();
    switch (error.code) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            report.fail(kKvmPath, "is not there", advice_without_device(cpu));
            break;
        case EACCES:
        case EPERM:
            report.fail(kKvmPath, "you may not open it", advice_without_permission());
            break;
        default:
            report.fail(kKvmPath, error.message, "use a kernel with a standard KVM");
            break;
    }
}

/// Only a warning: what decides is whether the guest of probe_linux() runs.
void check_module(Preflight& report) {
    const HostCpu cpu = host_cpu();
    const std::string_view module = kvm_module();
    const std::string named = module.empty() ? "unknown" : std::string(module);
    if ((module == "kvm_intel" && cpu.intel) || (module == "kvm_amd" && cpu.amd)) {
        report.ok("virtualization", fmt::format("{}, {}{}", named, cpu.intel ? "VT-x" : "AMD-V",
                                                cpu.in_vm ? ", nested: this host is a VM" : ""));
        return;
    }
    report.warn("virtualization",
                fmt::format("software: module {}, no VT-x or AMD-V in /proc/cpuinfo{}", named,
                            cpu.in_vm ? " (this host is a VM)" : ""),
                cpu.in_vm ? "turn on nested virtualization for this VM at its own host"
                          : "enable VT-x or AMD-V in the firmware");
}

bool check_capabilities(Preflight& report, const Kvm& kvm) {
    bool usable = true;
    bool complete = true;
    for (const KvmCapability& capability : kvm_capabilities()) {
        if (kvm.check_extension(capability.number) != 0) continue;
        complete = false;
        if (capability.needed) {
            usable = false;
            report.fail(capability.name, "is missing, and no machine runs without it",
                        "use a newer kernel, or one with a complete KVM");
        } else {
            report.warn(capability.name, fmt::format("is missing: {}", capability.cost),
                        "use a newer kernel, or one with a complete KVM");
        }
    }
    if (complete)
        report.ok("KVM capabilities",
                  fmt::format("all {} that mote uses", kvm_capabilities().size()));
    return usable;
}

}  // namespace

void check_kvm(Preflight& report) {
    const auto kvm = Kvm::open();
    if (!kvm) {
        explain_failed_open(report, kvm.error());
        return;
    }
    report.ok(kKvmPath, "opens, API version 12");
    check_module(report);
    if (!check_capabilities(report, *kvm)) return;
    const auto probed = probe_linux(*kvm);
    if (probed) {
        report.ok("test guest", "reaches user space and comes back by a system call");
        return;
    }
    const bool software = kvm_module() != "kvm_intel" && kvm_module() != "kvm_amd";
    report.fail("test guest",
                software
                    ? fmt::format("software KVM ({}): {}", kvm_module(), probed.error().message)
                    : probed.error().message,
                software ? "use a host with hardware virtualization, or tools/lab"
                         : "see the kernel's log (dmesg); another program may hold VT-x or AMD-V");
}

}  // namespace mote
