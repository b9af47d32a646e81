// The command line of mote: subcommands and their options.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/run_options.h"

namespace mote {

enum class Subcommand : uint8_t {
    nothing,     ///< none was given
    print_text,  ///< --help, --version
    run,
    check,
};

struct CommandLine {
    Subcommand subcommand = Subcommand::nothing;
    std::string text;    ///< of print_text
    RunOptions run;      ///< of run
    bool quiet = false;  ///< of check
};

/// Errors: one line that names the argument, and what may have been meant.
Result<CommandLine> parse_command_line(int argc, const char* const* argv);

/// What `mote --help` prints.
std::string help_text();

}  // namespace mote
