// start_passt(): user-mode networking, by a program of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Starts passt (found by PATH) for one guest and returns the socket it takes and gives frames by.
/// It ends when that is closed, also by this process's death. It forwards no port of the host's,
/// and does not make the gateway's address the host's loopback. `mtu` is what it tells the guest.
/// Call before there are threads. `what` names the use in messages ("net0"). Errors: passt is not
/// there, or cannot be started.
Result<UniqueFd> start_passt(std::string_view what, std::optional<uint16_t> mtu);

}  // namespace mote
