// open_disk(): a disk image or block device, checked, measured and locked.
#pragma once

#include <string_view>

#include "base/result.h"
#include "control/machine_config.h"
#include "control/open_file.h"
#include "control/resources.h"

namespace mote {

struct OpenedDisk {
    DiskResource resource;
    FileIdentity identity;
};

/// Opens `config.path` without locking it. Warns (one line each) of an incomplete last sector and
/// of what looks like a qcow2 image. Errors: see open_resources().
Result<OpenedDisk> open_disk(std::string_view id, const DiskConfig& config);

/// Takes the lock that one writer, or any number of readers, can hold; until the file is closed.
/// Where the file system knows no locks, warns and goes on. Errors: somebody holds it.
Result<> lock_disk(const DiskResource& disk, std::string_view path);

}  // namespace mote
