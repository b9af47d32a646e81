// The report, and check_host().
#include "vmm/preflight.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/errno_text.h"
#include "base/small_file.h"
#include "base/unique_fd.h"
#include "control/net/auto_network.h"

namespace mote {

namespace {

constexpr uint64_t kFewFiles = 256;
constexpr uint64_t kLittleMemoryMiB = 512;

void check_tun(Preflight& report) {
    const UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (tun.valid()) {
        report.ok("/dev/net/tun", "opens");
    } else if (errno == EACCES || errno == EPERM) {
        report.warn("/dev/net/tun", "you may not open it: no network devices",
                    "sudo chmod 0666 /dev/net/tun, as most distributions have it");
    } else {
        report.warn("/dev/net/tun", fmt::format("{}: no network devices", errno_text(errno)),
                    "sudo modprobe tun");
    }
}

/// Of `--net auto`; the other networks need none of it.
void check_nat(Preflight& report) {
    const auto tried = probe_nftables();
    if (tried)
        report.ok("nf_tables", "works: --net auto can do NAT");
    else if (tried.error().code == EPERM || tried.error().code == EACCES)
        report.warn("nf_tables", "you may not use it: no --net auto",
                    "run as root; or use --net user, which needs no rights (apt install passt)");
    else
        report.warn("nf_tables", tried.error().message + ": no --net auto",
                    "use Linux 5.12 or newer; sudo modprobe -a nf_tables nft_chain_nat nft_masq "
                    "nft_ct");
}

void check_io_uring(Preflight& report) {
    io_uring_params parameters{};
    const UniqueFd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters)));
    if (ring.valid()) {
        report.ok("io_uring", "works");
    } else if (errno == ENOSYS) {
        report.warn("io_uring", "is not in this kernel: disks use threads, which are slower",
                    "use a kernel with CONFIG_IO_URING");
    } else {
        const std::string setting = read_small_file("/proc/sys/kernel/io_uring_disabled");
        const bool off = !setting.empty() && setting != "0";
        report.warn("io_uring",
                    fmt::format("is forbidden ({}): disks use threads, which are slower",
                                errno_text(errno)),
                    off ? "sudo sysctl kernel.io_uring_disabled=0"
                        : "allow it in the container's seccomp profile");
    }
}

void check_limits(Preflight& report) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        const std::string detail = fmt::format("{} open files", files.rlim_cur);
        if (files.rlim_cur < kFewFiles)
            report.warn("limit of files", detail + ": too few for many disks",
                        fmt::format("ulimit -n {}", kFewFiles));
        else
            report.ok("limit of files", detail);
    }
    rlimit locked{};
    if (::getrlimit(RLIMIT_MEMLOCK, &locked) == 0)
        report.ok("limit of locked memory", locked.rlim_cur == RLIM_INFINITY
                                                ? "none"
                                                : fmt::format("{} KiB", locked.rlim_cur >> 10U));
}

/// MemAvailable of /proc/meminfo, or what sysinfo(2) calls free.
uint64_t available_mib() {
    const std::string info = read_small_file("/proc/meminfo");
    const size_t at = info.find("MemAvailable:");
    if (at != std::string::npos) return std::strtoull(info.c_str() + at + 13, nullptr, 10) >> 10U;
    struct sysinfo memory{};
    if (::sysinfo(&memory) != 0) return 0;
    return uint64_t{memory.freeram} * memory.mem_unit >> 20U;
}

void check_memory(Preflight& report) {
    const uint64_t mib = available_mib();
    const std::string detail = fmt::format("{} MiB available", mib);
    if (mib < kLittleMemoryMiB)
        report.warn("memory", detail + ": room for small guests only", "end other programs");
    else
        report.ok("memory", detail);

    const std::string huge = read_small_file("/sys/kernel/mm/transparent_hugepage/enabled");
    if (huge.empty())
        report.warn("huge pages", "this kernel has no transparent ones: guests are slower",
                    "use a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
    else if (huge.find("[never]") != std::string::npos)
        report.warn("huge pages", "transparent ones are off: guests are slower",
                    "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
    else
        report.ok("huge pages", "transparent ones are on");
}

}  // namespace

void Preflight::ok(std::string item, std::string detail) {
    lines.push_back({Verdict::ok, std::move(item), std::move(detail), {}});
}

void Preflight::warn(std::string item, std::string detail, std::string advice) {
    lines.push_back({Verdict::warn, std::move(item), std::move(detail), std::move(advice)});
}

void Preflight::fail(std::string item, std::string detail, std::string advice) {
    lines.push_back({Verdict::fail, std::move(item), std::move(detail), std::move(advice)});
}

const PreflightLine* Preflight::reason() const {
    const auto found = std::ranges::find(lines, Verdict::fail, &PreflightLine::verdict);
    return found == lines.end() ? nullptr : &*found;
}

void check_host(Preflight& report) {
    check_tun(report);
    check_nat(report);
    check_io_uring(report);
    check_limits(report);
    check_memory(report);
}

}  // namespace mote
