// open_tap(): a TAP device of the host's, as a file descriptor.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Attaches to the TAP device `name`, which has to exist: one queue, non-blocking, frames behind a
/// virtio header. Changes nothing of the device; warns where it is down. `what` names the use in
/// messages ("net0"). Errors: what is missing, in one line, and how to get it.
Result<UniqueFd> open_tap(std::string_view what, const std::string& name);

}  // namespace mote
