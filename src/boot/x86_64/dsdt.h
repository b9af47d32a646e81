// The DSDT: the devices of the machine, in AML.
#pragma once

#include "boot/boot.h"
#include "boot/bytes.h"

namespace mote {

/// The AML of everything that `config` says exists (the table without its header).
[[nodiscard]] Bytes make_dsdt_body(const BootConfig& config);

}  // namespace mote
