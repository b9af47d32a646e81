#include "control/resources.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include <utility>

#include "control/disk_file.h"
#include "control/open_file.h"
#include "control/options.h"
#include "control/passt.h"
#include "control/tap_file.h"

namespace mote {

namespace {

/// Open files of a machine with all its devices and vCPUs, beside the connections of its vsock.
constexpr uint32_t kOtherFiles = 256;

Result<> check_host_memory(uint64_t wanted) {
    struct sysinfo info{};
    if (::sysinfo(&info) != 0) return fail_errno("memory: cannot read how much the host has");
    const uint64_t total = uint64_t{info.totalram} * info.mem_unit;
    if (wanted > total)
        return fail("memory: {} is more than this host has ({}M); give less", format_size(wanted),
                    total >> 20U);
    return {};
}

/// A file of the machine, by the name that messages have for it.
struct UsedFile {
    std::string name;
    FileIdentity identity;
};

Result<UniqueFd> open_image(std::string_view what, const std::string& path,
                            std::vector<UsedFile>& used) {
    OpenFile file = TRY(open_file(what, path, O_RDONLY, AlsoAccept::nothing));
    if (file.status.st_size == 0) return fail("{}: {} is empty; give another file", what, path);
    used.push_back({std::string(what), identity_of(file.status)});
    return std::move(file.fd);
}

Result<std::vector<DiskResource>> open_disks(const std::vector<DiskConfig>& configs,
                                             std::vector<UsedFile>& used) {
    std::vector<DiskResource> disks;
    std::vector<FileIdentity> identities;
    for (size_t i = 0; i < configs.size(); ++i) {
        const DiskConfig& config = configs[i];
        OpenedDisk disk = TRY(open_disk(fmt::format("disk{}", i), config));
        for (size_t j = 0; j < i; ++j) {
            const bool written = !config.read_only || !configs[j].read_only;
            if (identities[j] == disk.identity && written)
                return fail(
                    "disk{}: {} is the same file as disk{}; attach it once, or each time "
                    "read-only (,ro)",
                    i, config.path, j);
        }
        TRY(lock_disk(disk.resource, config.path));
        identities.push_back(disk.identity);
        used.push_back({disk.resource.id, disk.identity});
        disks.push_back(std::move(disk.resource));
    }
    return disks;
}

Result<std::vector<NicResource>> open_nics(const std::vector<NicConfig>& configs) {
    std::vector<NicResource> nics;
    for (const NicConfig& config : configs) {
        NicResource nic{.id = fmt::format("net{}", nics.size()),
                        .fd = {},
                        .user = config.user,
                        .mac = config.mac,
                        .mtu = {}};
        if (config.mtu) nic.mtu = static_cast<uint16_t>(*config.mtu);
        nic.fd = TRY(nic.user ? start_passt(nic.id, nic.mtu) : open_tap(nic.id, config.tap));
        nics.push_back(std::move(nic));
    }
    return nics;
}

/// The console's file may exist, but not as another part of the machine: output would be appended
/// to it.
Result<> check_console(const ConsoleConfig& console, const std::vector<UsedFile>& used) {
    struct stat status{};
    if (console.path.empty() || ::stat(console.path.c_str(), &status) != 0) return {};
    for (const UsedFile& file : used)
        if (file.identity == identity_of(status))
            return fail("console: {} is also {}; give another path", console.path, file.name);
    return {};
}

/// Last of all: what is refused leaves no socket behind.
Result<> open_vsock(const VsockConfig& config, Resources& resources) {
    TRY(allow_open_files("vsock", config.connections + kOtherFiles));
    UnixListener listener = TRY(listen_at("vsock", config.path));
    resources.vsock_name = std::move(listener.name);
    resources.vsock = VsockResource{.listener = std::move(listener.socket),
                                    .path = config.path,
                                    .cid = config.cid,
                                    .connections = config.connections};
    return {};
}

}  // namespace

Result<Resources> open_resources(const ValidMachineConfig& config) {
    Resources resources;
    TRY(check_host_memory(config->memory_bytes));
    std::vector<UsedFile> used;
    resources.kernel = TRY(open_image("kernel", config->kernel, used));
    if (config->initrd) resources.initrd = TRY(open_image("initrd", *config->initrd, used));
    resources.disks = TRY(open_disks(config->disks, used));
    TRY(check_console(config->console, used));
    resources.nics = TRY(open_nics(config->nics));
    if (config->vsock) TRY(open_vsock(*config->vsock, resources));
    return resources;
}

}  // namespace mote
