// RunOptions: the options of `mote run`, as they were typed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/machine_config.h"
#include "control/validate.h"

namespace mote {

struct RunOptions {
    std::optional<std::string> config_file;
    std::optional<std::string> name;
    std::optional<std::string> kernel;
    std::optional<std::string> initrd;
    std::optional<std::string> cmdline;
    std::vector<std::string> disks;
    std::vector<std::string> nics;
    std::vector<std::string> pmems;
    std::optional<std::string> vsock;
    std::optional<std::string> cpus;
    std::optional<std::string> memory;
    std::optional<std::string> hotplug_memory;
    std::optional<std::string> console;
    std::optional<std::string> virtio_console;
    std::optional<std::string> grace;
    bool no_entropy = false;
    bool no_balloon = false;
    bool no_pvpanic = false;
    bool no_acpi = false;
};

/// The machine that the options ask for: those of the config file, if there is one, overridden by
/// those of the command line. Errors: one line that names the option or the file's key.
Result<MachineConfig> build_config(const RunOptions& options);

/// validate(), with the config file's name in front of what is wrong in it.
Result<ValidMachineConfig> validate_options(MachineConfig config, const RunOptions& options);

/// Tells the guest the size of the terminal. For COM1 it comes in front of what is appended to the
/// guest's command line, as `mote.winsize=ROWSxCOLS` (behind a `--` it would be an argument of
/// init's); a virtio console has it in its configuration. Does nothing where neither console is the
/// terminal, where `fd` is none, or one that does not tell.
void add_window_size(MachineConfig& config, int fd);

}  // namespace mote
