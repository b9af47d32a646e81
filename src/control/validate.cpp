#include "control/validate.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "control/options.h"

namespace mote {

namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxPath = 4095;         // PATH_MAX without the closing NUL
constexpr size_t kMaxSocketPath = 107;    // sockaddr_un's sun_path without the closing NUL
constexpr size_t kMaxCommandLine = 2047;  // the guest's limit; the default takes its part of it
constexpr size_t kMaxDevices = 18;        // virtio devices: interrupts 5 to 22
constexpr size_t kMaxNics = 8;
constexpr size_t kMaxPmems =
    4;  // with eight NICs, vsock, entropy and balloon, disks have room left
constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ without the closing NUL
constexpr uint64_t kPageSize = 4096;
constexpr size_t kMaxPortSuffix = 11;  // "_4294967295"

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

Result<> check_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxName || !std::ranges::all_of(name, is_name_character))
        return fail("name: '{}' must be 1 to {} letters, digits, '-', '_' or '.'", name, kMaxName);
    return {};
}

Result<> check_path(std::string_view field, std::string_view path, size_t longest) {
    if (path.empty()) return fail("{}: the path is empty; give that of a file", field);
    if (path.size() > longest)
        return fail("{}: the path has {} bytes, at most {} are possible", field, path.size(),
                    longest);
    if (path.find('\0') != std::string_view::npos)
        return fail("{}: the path holds a zero byte", field);
    return {};
}

Result<> check_cmdline(std::string_view text) {
    if (text.size() > kMaxCommandLine)
        return fail("cmdline: {} bytes are too many, the limit is {} with mote's own; shorten it",
                    text.size(), kMaxCommandLine);
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    };
    const auto found = std::ranges::find_if(text, is_control);
    if (found != text.end())
        return fail("cmdline: byte {} is a control character ({:#04x}); leave it out",
                    found - text.begin(), static_cast<unsigned char>(*found));
    return {};
}

Result<> check_memory(uint64_t bytes) {
    if (bytes < kMinMemory || bytes > kMaxMemory)
        return fail("memory: {} is not possible; give {} to {}", format_size(bytes),
                    format_size(kMinMemory), format_size(kMaxMemory));
    if (bytes % kPageSize != 0)
        return fail("memory: {} is not a multiple of the page size, {}", format_size(bytes),
                    format_size(kPageSize));
    return {};
}

Result<> check_hotplug_memory(const MachineConfig& config) {
    const HotplugMemoryConfig& memory = *config.hotplug_memory;
    for (const DiskConfig& disk : config.disks)
        if (!disk.socket.empty())
            return fail(
                "hotplug_memory: not beside a disk with a socket, whose back end would reach what "
                "is not plugged; leave one out");
    const uint64_t block = memory.block_bytes;
    if (!std::has_single_bit(block) || block < kMinHotplugBlock)
        return fail("hotplug_memory: blocks of {} are not possible; give a power of two from {}",
                    format_size(block), format_size(kMinHotplugBlock));
    if (memory.slot_bytes < kMinHotplugSlot || memory.slot_bytes % block != 0)
        return fail("hotplug_memory: slots of {} are not possible; give a multiple of {} from {}",
                    format_size(memory.slot_bytes), format_size(block),
                    format_size(kMinHotplugSlot));
    if (memory.total_bytes == 0 || memory.total_bytes % memory.slot_bytes != 0 ||
        memory.total_bytes > kMaxMemory)
        return fail("hotplug_memory: a total of {} is not possible; give a multiple of {} up to {}",
                    format_size(memory.total_bytes), format_size(memory.slot_bytes),
                    format_size(kMaxMemory));
    if (memory.requested_bytes % block != 0 || memory.requested_bytes > memory.total_bytes)
        return fail("hotplug_memory: {} cannot be requested; give a multiple of {} up to {}",
                    format_size(memory.requested_bytes), format_size(block),
                    format_size(memory.total_bytes));
    return {};
}

/// A disk or a pmem, by its name.
template <class T>
Result<> check_file(std::string_view name, const T& file) {
    TRY(check_path(name, file.path, kMaxPath));
    if (file.iops == 0U || file.bps == 0U)
        return fail("{}: {} of 0 would let nothing through; leave it out for no limit", name,
                    file.iops == 0U ? "iops" : "bps");
    return {};
}

Result<> check_disk(std::string_view name, const DiskConfig& disk) {
    if (disk.socket.empty()) return check_file(name, disk);
    if (!disk.path.empty()) return fail("{}: has a path and a socket; give one", name);
    if (disk.read_only || disk.cache || disk.iops || disk.bps || disk.own_worker)
        return fail(
            "{}: ro, cache, iops, bps and own_worker are not for a disk with a socket; ask its "
            "back end for them",
            name);
    return check_path(name, disk.socket, kMaxSocketPath);
}

Result<> check_disks(const MachineConfig& config) {
    for (size_t i = 0; i < config.disks.size(); ++i)
        TRY(check_disk(fmt::format("disk{}", i), config.disks[i]));
    const size_t others = (config.entropy ? 1U : 0U) + (config.balloon ? 1U : 0U) +
                          (config.vsock ? 1U : 0U) + (config.hotplug_memory ? 1U : 0U) +
                          (config.virtio_console.kind != ConsoleKind::off ? 1U : 0U) +
                          config.nics.size() + config.pmems.size();
    if (config.disks.size() > kMaxDevices - others)
        return fail("disks: {} are too many, at most {} are possible{}", config.disks.size(),
                    kMaxDevices - others, others != 0 ? " beside the other devices" : "");
    return {};
}

Result<> check_tap_name(size_t index, std::string_view name) {
    const auto is_wrong = [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == ':' || c == '%';
    };
    if (name.size() <= kMaxInterfaceName && std::ranges::none_of(name, is_wrong)) return {};
    return fail(
        "net{}: '{}' is no name of a network device; give that of a TAP, of 1 to {} characters",
        index, name, kMaxInterfaceName);
}

/// That the device has one network, which no other device has.
Result<> check_network(size_t index, const MachineConfig& config) {
    const NicConfig& nic = config.nics[index];
    const unsigned given = (nic.tap.empty() ? 0U : 1U) + (nic.automatic ? 1U : 0U) +
                           (nic.user ? 1U : 0U) + (nic.fd ? 1U : 0U);
    if (given != 1)
        return fail("net{}: {} of auto, tap, user and fd; give one", index,
                    given == 0 ? "has none" : "has several");
    TRY(check_tap_name(index, nic.tap));
    for (size_t i = 0; i < index; ++i) {
        if (!nic.tap.empty() && config.nics[i].tap == nic.tap)
            return fail("net{}: the TAP {} is that of net{} already; give another", index, nic.tap,
                        i);
        if (nic.fd && config.nics[i].fd == nic.fd)
            return fail("net{}: the file descriptor {} is that of net{} already; give another",
                        index, *nic.fd, i);
    }
    if (nic.fd && (*nic.fd < kMinHandedFd || *nic.fd > kMaxHandedFd))
        return fail("net{}: a file descriptor {} cannot be handed over; give {} to {}", index,
                    *nic.fd, kMinHandedFd, kMaxHandedFd);
    return {};
}

Result<> check_limits(size_t index, const NicConfig& nic) {
    for (const auto& [way, limits] : {std::pair{"rx", nic.rx}, std::pair{"tx", nic.tx}})
        if (limits.pps == 0U || limits.bps == 0U)
            return fail("net{}: {}_{} of 0 would let nothing through; leave it out for no limit",
                        index, way, limits.pps == 0U ? "pps" : "bps");
    return {};
}

Result<> check_nic(size_t index, const MachineConfig& config) {
    const NicConfig& nic = config.nics[index];
    TRY(check_network(index, config));
    if (nic.mac && (nic.mac->front() & 1U) != 0)
        return fail(
            "net{}: a MAC address whose first byte is odd ({:02x}) is one of a group; give "
            "an even one",
            index, nic.mac->front());
    if (nic.mac && *nic.mac == MacAddress{})
        return fail("net{}: a MAC address of zeros is none; give another", index);
    const uint32_t least = nic.automatic ? kMinAutoMtu : kMinMtu;
    if (nic.mtu && (*nic.mtu < least || *nic.mtu > kMaxMtu))
        return fail("net{}: an MTU of {} is not possible; give {} to {}", index, *nic.mtu, least,
                    kMaxMtu);
    return check_limits(index, nic);
}

Result<> check_nics(const MachineConfig& config) {
    for (size_t i = 0; i < config.nics.size(); ++i)
        TRY(check_nic(i, config));
    if (config.nics.size() > kMaxNics)
        return fail("net: {} network devices are too many, at most {} are possible",
                    config.nics.size(), kMaxNics);
    return {};
}

Result<> check_pmems(const MachineConfig& config) {
    for (size_t i = 0; i < config.pmems.size(); ++i)
        TRY(check_file(fmt::format("pmem{}", i), config.pmems[i]));
    if (config.pmems.size() > kMaxPmems)
        return fail("pmem: {} are too many, at most {} are possible", config.pmems.size(),
                    kMaxPmems);
    return {};
}

Result<> check_vsock(const VsockConfig& vsock) {
    if (vsock.cid < kMinCid || vsock.cid > kMaxCid)
        return fail("vsock: a cid of {} is not possible; give {} to {}", vsock.cid, kMinCid,
                    kMaxCid);
    if (vsock.connections == 0 || vsock.connections > kMaxVsockConnections)
        return fail("vsock: {} connections are not possible; give 1 to {}", vsock.connections,
                    kMaxVsockConnections);
    // Behind it come "_" and a port, for the sockets that the guest reaches.
    return check_path("vsock", vsock.path, kMaxSocketPath - kMaxPortSuffix);
}

Result<> check_console(std::string_view name, const ConsoleConfig& console) {
    switch (console.kind) {
        case ConsoleKind::tty:
        case ConsoleKind::off:
            return {};
        case ConsoleKind::file:
            return check_path(name, console.path, kMaxPath);
        case ConsoleKind::unix_socket:
            return check_path(name, console.path, kMaxSocketPath);
    }
    return {};
}

/// That no two consoles have the same other end.
Result<> check_consoles(const ConsoleConfig& com1, const ConsoleConfig& virtio) {
    TRY(check_console("console", com1));
    TRY(check_console("virtio_console", virtio));
    if (virtio.kind == ConsoleKind::tty && com1.kind == ConsoleKind::tty)
        return fail(
            "virtio_console: the terminal is the console's already; give --console off, or another "
            "end to one of the two");
    if (!virtio.path.empty() && virtio.path == com1.path)
        return fail("virtio_console: {} is the console's path already; give another", virtio.path);
    return {};
}

}  // namespace

Result<ValidMachineConfig> validate(MachineConfig config) {
    TRY(check_name(config.name));
    if (config.kernel.empty())
        return fail("kernel: none is given; use --kernel FILE, or \"kernel\" in the config file");
    TRY(check_path("kernel", config.kernel, kMaxPath));
    if (config.initrd) TRY(check_path("initrd", *config.initrd, kMaxPath));
    TRY(check_cmdline(config.cmdline));
    TRY(check_nics(config));
    if (config.vsock) TRY(check_vsock(*config.vsock));
    TRY(check_pmems(config));
    TRY(check_disks(config));
    if (config.cpus == 0 || config.cpus > kMaxCpus)
        return fail("cpus: {} is not possible; give 1 to {}", config.cpus, kMaxCpus);
    TRY(check_memory(config.memory_bytes));
    if (config.hotplug_memory) TRY(check_hotplug_memory(config));
    TRY(check_consoles(config.console, config.virtio_console));
    if (config.grace_seconds > kMaxGraceSeconds)
        return fail("grace_seconds: {} is too long; give 0 to {}", config.grace_seconds,
                    kMaxGraceSeconds);
    return ValidMachineConfig(std::move(config));
}

}  // namespace mote
