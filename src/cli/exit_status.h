// The exit statuses of mote. docs/exit-status.md is their manual; 240 to 249 are reserved.
#pragma once

#include <cstdint>

namespace mote {

enum class ExitStatus : uint8_t {
    success = 0,         ///< the guest powered off (`run`); all is well (other subcommands)
    quiet_no = 1,        ///< `check --quiet`: Linux cannot run here
    bad_input = 240,     ///< arguments, configuration or files; nothing was created or changed
    host_failure = 241,  ///< the host lacks something: KVM, memory, a capability, I/O
    reboot = 242,        ///< the guest asked for a reboot
    guest_panic = 243,   ///< the guest's kernel panicked and said so (pvpanic)
    guest_crash = 244,   ///< triple fault, or a state that KVM cannot run
    ended = 245,         ///< by the user or a signal, before the guest powered off
};

}  // namespace mote
