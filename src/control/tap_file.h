// TAP devices of the host's, as file descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Attaches to the TAP device `name`, which has to exist: one queue, non-blocking, frames behind a
/// virtio header. Changes nothing of the device; warns where it is down. `what` names the use in
/// messages ("net0"). Errors: what is missing, in one line, and how to get it.
Result<UniqueFd> open_tap(std::string_view what, const std::string& name);

/// Takes over the descriptor `fd`, which whoever started this process left open: a TAP (or macvtap)
/// that is attached with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR. Call before anything else is opened:
/// what was not handed over could be a descriptor of our own by then. Errors: what it is instead.
Result<UniqueFd> take_tap(std::string_view what, uint32_t fd);

/// /dev/net/tun, non-blocking and not attached yet. Errors: as open_tap()'s; `no_rights` is the way
/// out for who may not open it ("; run as root").
Result<UniqueFd> open_tun(std::string_view what, std::string_view no_rights);

}  // namespace mote
