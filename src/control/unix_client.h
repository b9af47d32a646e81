// connect_to(): another process's Unix socket.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Connects to the stream socket at `path`, without waiting for a process that takes no clients.
/// `what` names the use in messages. Errors: what is there instead, or nobody serves it.
Result<UniqueFd> connect_to(std::string_view what, const std::string& path);

}  // namespace mote
