// `mote check`: the pre-flight report.
#pragma once

#include "cli/exit_status.h"

namespace mote {

/// Prints the report and says whether Linux guests can run here; with `quiet` only the reason, on
/// one line, if they cannot.
ExitStatus check_command(bool quiet);

}  // namespace mote
