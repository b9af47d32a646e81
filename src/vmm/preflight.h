// Preflight: what this host can run, and what it lacks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mote {

enum class Verdict : uint8_t {
    ok,
    warn,  ///< machines run, but something is slower or missing
    fail,  ///< no Linux guest runs
};

struct PreflightLine {
    Verdict verdict;
    std::string item;    ///< what was looked at: "/dev/kvm"
    std::string detail;  ///< what was found
    std::string advice;  ///< what to do about it; empty where nothing is to be done
};

struct Preflight {
    std::vector<PreflightLine> lines;

    void ok(std::string item, std::string detail);
    void warn(std::string item, std::string detail, std::string advice);
    void fail(std::string item, std::string detail, std::string advice);
    /// The first line that says no, or null where Linux can run here.
    [[nodiscard]] const PreflightLine* reason() const;
};

/// Whether KVM can run a Linux guest: stops at the first thing that rules it out. Makes and runs a
/// tiny guest; takes a second at the most. Uses SIGALRM and an interval timer meanwhile.
void check_kvm(Preflight& report);

/// What disks, networks and large guests need of the host. None of it rules a guest out.
void check_host(Preflight& report);

}  // namespace mote
