// `mote run`: one machine, from its options to its end.
#pragma once

#include "cli/exit_status.h"
#include "cli/run_options.h"

namespace mote {

/// Runs the machine on the calling thread, which becomes the main thread of it. Does not return
/// once the guest has run: it ends the process, since taking a machine apart costs more time than
/// the kernel needs for it. Returns a status where nothing could be started; the reason has been
/// printed.
ExitStatus run_command(const RunOptions& options);

}  // namespace mote
