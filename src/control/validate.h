// validate(): the one gate from a raw configuration to one that a machine can be built from.
#pragma once

#include <utility>

#include "base/result.h"
#include "control/limits.h"
#include "control/machine_config.h"

namespace mote {

/// A MachineConfig that has passed validate().
class ValidMachineConfig {
  public:
    [[nodiscard]] const MachineConfig& get() const { return config_; }
    const MachineConfig* operator->() const { return &config_; }

  private:
    friend Result<ValidMachineConfig> validate(MachineConfig config);
    explicit ValidMachineConfig(MachineConfig config) : config_(std::move(config)) {}
    MachineConfig config_;
};

/// Checks every rule that needs nothing but the values. Pure. Errors: one line that names the
/// field, the value and the rule.
Result<ValidMachineConfig> validate(MachineConfig config);

}  // namespace mote
