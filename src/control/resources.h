// Resources: everything of a machine that is a file descriptor, opened before it is built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/machine_config.h"
#include "control/net/auto_network.h"
#include "control/unix_listener.h"
#include "control/validate.h"

namespace mote {

struct DiskResource {
    std::string id;      ///< "disk0", ...: names it in messages, and is the guest's serial number
    UniqueFd file;       ///< locked against a second writer while open; or connected to `socket`
    std::string socket;  ///< of a vhost-user back end, which knows the rest; or empty
    uint64_t size_bytes = 0;
    bool block_device = false;
    bool read_only = false;
    CacheMode cache = CacheMode::writeback;
    std::optional<uint32_t> iops;  ///< requests a second at most
    std::optional<uint64_t> bps;   ///< bytes a second at most
    bool own_worker = false;
};

struct PmemResource {
    std::string id;  ///< "pmem0", ...: names it in messages
    UniqueFd file;   ///< locked like a disk's
    uint64_t size_bytes = 0;
    bool block_device = false;
    bool read_only = false;
    std::optional<uint32_t> iops;
    std::optional<uint64_t> bps;
};

struct NicResource {
    std::string id;     ///< "net0", ...: names it in messages
    UniqueFd fd;        ///< attached to a TAP device, with a virtio header; or passt's socket
    bool user = false;  ///< `fd` is passt's
    std::optional<MacAddress> mac;
    std::optional<uint16_t> mtu;
    FrameLimits rx;
    FrameLimits tx;
    bool own_worker = false;
    std::optional<Ipv4Setup> dhcp;  ///< what mote itself tells the guest, where it does
};

struct VsockResource {
    UniqueFd listener;  ///< clients come here; non-blocking
    std::string path;
    uint32_t cid = 0;
    uint32_t connections = 0;
    bool own_worker = false;
};

struct Resources {
    UniqueFd kernel;
    UniqueFd initrd;  ///< invalid where there is none
    std::vector<DiskResource> disks;
    std::vector<PmemResource> pmems;
    std::vector<NicResource> nics;
    std::vector<AutoNetwork> networks;  ///< of `nics`; outlive the machine
    std::optional<VsockResource> vsock;
    SocketName vsock_name;  ///< goes with it; outlives the machine
};

/// Opens what the configuration names and checks what only the host can tell: that each file is
/// one that fits its use, that no disk is used twice with a writer among the users, that the
/// console is none of them, that there is memory for the guest. Nothing is created or changed but
/// the vsock device's socket and what AutoNetwork makes, which go with the result, and the limit of
/// open files. Call before there are threads, and before other files are open. What is odd but
/// possible (an image that looks like qcow2, an incomplete last sector) draws a warning. Errors:
/// one line that names the thing, the reason and, where there is one, the way out.
Result<Resources> open_resources(const ValidMachineConfig& config);

}  // namespace mote
