// Signals of a running machine, as a file descriptor.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Blocks the signals that `mote run` takes, for this thread and those it starts from now on, and
/// returns a signalfd for them. A signal that was ignored when mote started (nohup) stays so.
/// SIGPIPE, SIGTTIN, SIGTTOU and SIGXFSZ (a guest writes where `ulimit -f` ends) are blocked too:
/// the calls that cause them then fail, or go on.
/// Errors: EMFILE.
Result<UniqueFd> take_signals();

/// The next signal that waits in the descriptor of take_signals(), or 0.
int next_signal(const UniqueFd& signals);

}  // namespace mote
