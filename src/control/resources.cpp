#include "control/resources.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include <utility>

#include "control/disk_file.h"
#include "control/open_file.h"
#include "control/options.h"
#include "control/passt.h"
#include "control/tap_file.h"
#include "control/unix_client.h"

namespace mote {

namespace {

/// Open files of a machine with all its devices and vCPUs, beside the connections of its vsock.
constexpr uint32_t kOtherFiles = 256;

Result<> check_host_memory(std::string_view what, uint64_t wanted) {
    struct sysinfo info{};
    if (::sysinfo(&info) != 0) return fail_errno("{}: cannot read how much the host has", what);
    const uint64_t total = uint64_t{info.totalram} * info.mem_unit;
    if (wanted > total)
        return fail("{}: {} is more than this host has ({}M); give less", what, format_size(wanted),
                    total >> 20U);
    return {};
}

/// A file of the machine, by the name that messages have for it.
struct UsedFile {
    std::string name;
    FileIdentity identity;
    bool disk = false;  ///< or pmem: what is shared and locked
    bool written = false;
};

Result<UniqueFd> open_image(std::string_view what, const std::string& path,
                            std::vector<UsedFile>& used) {
    OpenFile file = TRY(open_file(what, path, O_RDONLY, AlsoAccept::nothing));
    if (file.status.st_size == 0) return fail("{}: {} is empty; give another file", what, path);
    used.push_back({.name = std::string(what), .identity = identity_of(file.status)});
    return std::move(file.fd);
}

/// Opens and locks one disk, which no other disk or pmem is while one of the two is written.
Result<DiskResource> open_and_lock(const std::string& id, const DiskConfig& config,
                                   std::vector<UsedFile>& used) {
    OpenedDisk disk = TRY(open_disk(id, config));
    for (const UsedFile& other : used)
        if (other.disk && other.identity == disk.identity && (!config.read_only || other.written))
            return fail(
                "{}: {} is the same file as {}; attach it once, or each time read-only (,ro)", id,
                config.path, other.name);
    TRY(lock_disk(disk.resource, config.path));
    used.push_back(
        {.name = id, .identity = disk.identity, .disk = true, .written = !config.read_only});
    return std::move(disk.resource);
}

Result<std::vector<DiskResource>> open_disks(const std::vector<DiskConfig>& configs,
                                             std::vector<UsedFile>& used) {
    std::vector<DiskResource> disks;
    for (const DiskConfig& config : configs) {
        const std::string id = fmt::format("disk{}", disks.size());
        if (config.socket.empty()) {
            disks.push_back(TRY(open_and_lock(id, config, used)));
            continue;
        }
        DiskResource& disk = disks.emplace_back();
        disk.id = id;
        disk.file = TRY(connect_to(id, config.socket));
        disk.socket = config.socket;
    }
    return disks;
}

Result<std::vector<PmemResource>> open_pmems(const std::vector<PmemConfig>& configs,
                                             std::vector<UsedFile>& used) {
    std::vector<PmemResource> pmems;
    for (const PmemConfig& config : configs) {
        DiskResource file =
            TRY(open_and_lock(fmt::format("pmem{}", pmems.size()),
                              {.path = config.path, .read_only = config.read_only}, used));
        pmems.push_back({.id = std::move(file.id),
                         .file = std::move(file.file),
                         .size_bytes = file.size_bytes,
                         .block_device = file.block_device,
                         .read_only = config.read_only,
                         .iops = config.iops,
                         .bps = config.bps});
    }
    return pmems;
}

/// The devices as they are configured, with what was handed over for them.
Result<std::vector<NicResource>> take_nics(const std::vector<NicConfig>& configs) {
    std::vector<NicResource> nics;
    for (const NicConfig& config : configs) {
        NicResource& nic = nics.emplace_back(NicResource{.id = fmt::format("net{}", nics.size()),
                                                         .fd = {},
                                                         .user = config.user,
                                                         .mac = config.mac,
                                                         .mtu = {},
                                                         .rx = config.rx,
                                                         .tx = config.tx,
                                                         .own_worker = config.own_worker,
                                                         .dhcp = {}});
        if (config.mtu) nic.mtu = static_cast<uint16_t>(*config.mtu);
        if (config.fd) nic.fd = TRY(take_tap(nic.id, *config.fd));
    }
    return nics;
}

Result<> open_nics(const std::vector<NicConfig>& configs, Resources& resources) {
    for (size_t i = 0; i < configs.size(); ++i) {
        NicResource& nic = resources.nics[i];
        if (configs[i].automatic) {
            AutoNetwork& network =
                resources.networks.emplace_back(TRY(AutoNetwork::create(nic.id, nic.mtu)));
            nic.fd = network.take_tap();
            nic.dhcp = network.guest();
        } else if (configs[i].user) {
            nic.fd = TRY(start_passt(nic.id, nic.mtu));
        } else if (!configs[i].fd) {
            nic.fd = TRY(open_tap(nic.id, configs[i].tap));
        }
    }
    return {};
}

/// A console's file may exist, but not as another part of the machine: output would be appended
/// to it.
Result<> check_console(const std::string& name, const ConsoleConfig& console,
                       std::vector<UsedFile>& used) {
    struct stat status{};
    if (console.path.empty() || ::stat(console.path.c_str(), &status) != 0) return {};
    for (const UsedFile& file : used)
        if (file.identity == identity_of(status))
            return fail("{}: {} is also {}; give another path", name, console.path, file.name);
    // Two consoles on /dev/null are no harm, on one pipe they may be meant.
    if (S_ISREG(status.st_mode)) used.push_back({.name = name, .identity = identity_of(status)});
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
                                    .connections = config.connections,
                                    .own_worker = config.own_worker};
    return {};
}

}  // namespace

Result<Resources> open_resources(const ValidMachineConfig& config) {
    Resources resources;
    resources.nics = TRY(take_nics(config->nics));
    TRY(check_host_memory("memory", config->memory_bytes));
    if (config->hotplug_memory)
        TRY(check_host_memory("memory and hotplug_memory",
                              config->memory_bytes + config->hotplug_memory->total_bytes));
    std::vector<UsedFile> used;
    resources.kernel = TRY(open_image("kernel", config->kernel, used));
    if (config->initrd) resources.initrd = TRY(open_image("initrd", *config->initrd, used));
    resources.disks = TRY(open_disks(config->disks, used));
    resources.pmems = TRY(open_pmems(config->pmems, used));
    TRY(check_console("console", config->console, used));
    TRY(check_console("virtio_console", config->virtio_console, used));
    TRY(open_nics(config->nics, resources));
    if (config->vsock) TRY(open_vsock(*config->vsock, resources));
    return resources;
}

}  // namespace mote
