// The config file of `mote run --config`: JSON, read strictly. docs/config-file.md is its manual.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/machine_config.h"

namespace mote {

inline constexpr size_t kMaxConfigFile = size_t{1} << 20U;

/// Reads a machine's configuration from JSON text: one object of known keys, each at most once;
/// what is absent keeps its default. Values are checked for their type and form only: validate()
/// comes after. Errors: one line that names the key and the line.
Result<MachineConfig> parse_config(std::string_view json);

/// parse_config() of a file (or a pipe, as in `--config <(...)`) of at most kMaxConfigFile bytes.
Result<MachineConfig> read_config_file(const std::string& path);

}  // namespace mote
