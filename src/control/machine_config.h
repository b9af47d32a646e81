// MachineConfig: what a person or program asked for, before anything is checked or opened.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/window_size.h"

namespace mote {

/// When a disk's writes count as done.
enum class CacheMode : uint8_t {
    writeback,  ///< through the host's page cache; the guest's flush is an fdatasync (default)
    unsafe,     ///< like writeback, but flushes do nothing: for images that can be made anew
    direct,     ///< O_DIRECT: past the host's page cache
};

/// Of the first two members exactly one is given; with a socket, none of the others.
struct DiskConfig {
    std::string path;    ///< of a file or a block device
    std::string socket;  ///< of a vhost-user back end, which serves the disk
    bool read_only = false;
    std::optional<CacheMode> cache;  ///< none: writeback
    std::optional<uint32_t> iops;    ///< requests a second at most
    std::optional<uint64_t> bps;     ///< bytes a second at most
    bool own_worker = false;         ///< a thread of its own serves it
};

/// A file that the guest has as memory.
struct PmemConfig {
    std::string path;
    bool read_only = false;
    std::optional<uint32_t> iops;  ///< flushes a second at most
    std::optional<uint64_t> bps;   ///< bytes a second at most; a flush counts as the file's size
};

using MacAddress = std::array<uint8_t, 6>;

/// How much of a network device's traffic passes one way.
struct FrameLimits {
    std::optional<uint32_t> pps;  ///< frames a second at most
    std::optional<uint64_t> bps;  ///< bytes a second at most
};

/// Of the first four members exactly one is given.
struct NicConfig {
    std::string tap;                ///< the name of a TAP device of the host's
    bool automatic = false;         ///< a TAP of mote's own, with address, route, DNS and NAT
    bool user = false;              ///< user-mode networking, by passt
    std::optional<uint32_t> fd;     ///< a TAP that was handed over as this file descriptor
    std::optional<MacAddress> mac;  ///< none: the guest takes one by chance
    std::optional<uint32_t> mtu;    ///< none: the guest's default
    FrameLimits rx;                 ///< what the guest receives
    FrameLimits tx;                 ///< what the guest sends
    bool own_worker = false;        ///< a thread of its own serves it
};

struct VsockConfig {
    uint32_t cid = 3;             ///< the guest's address
    std::string path;             ///< of the socket that clients of the host come to
    uint32_t connections = 1023;  ///< at once
    bool own_worker = false;      ///< a thread of its own serves it
};

/// Memory that comes and goes while the guest runs, all in bytes.
struct HotplugMemoryConfig {
    uint64_t total_bytes = 0;
    uint64_t requested_bytes = 0;  ///< that the guest is to plug when it comes up
    uint64_t block_bytes = uint64_t{2} << 20U;
    uint64_t slot_bytes = uint64_t{128} << 20U;  ///< what its CPUs come to reach at a time
};

enum class ConsoleKind : uint8_t { tty, off, file, unix_socket };

struct ConsoleConfig {
    ConsoleKind kind = ConsoleKind::tty;
    std::string path;                ///< of file and unix_socket
    std::optional<WindowSize> size;  ///< of the terminal, where it tells; the virtio console's
};

/// Plain data, filled by the command line and the config file alike (later by the API).
struct MachineConfig {
    std::string name = "mote";
    std::string kernel;
    std::optional<std::string> initrd;
    std::string cmdline;      ///< appended to the default command line
    std::string own_cmdline;  ///< words of mote's own in front of it
    std::vector<DiskConfig> disks;
    std::vector<NicConfig> nics;
    std::vector<PmemConfig> pmems;
    std::optional<VsockConfig> vsock;
    uint32_t cpus = 1;
    uint64_t memory_bytes = uint64_t{256} << 20U;
    std::optional<HotplugMemoryConfig> hotplug_memory;
    ConsoleConfig console;  ///< COM1's
    ConsoleConfig virtio_console{.kind = ConsoleKind::off, .path = {}, .size = {}};
    bool entropy = true;
    bool balloon = true;  ///< with free-page reporting
    bool pvpanic = true;
    bool acpi = true;
    uint32_t grace_seconds = 10;  ///< from a power button press to the end, if the guest ignores it
};

}  // namespace mote
