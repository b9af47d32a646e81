#include "cli/check.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "cli/print.h"
#include "vmm/preflight.h"

namespace mote {

namespace {

std::string line_of(const PreflightLine& line) {
    static constexpr std::array<std::string_view, 3> kVerdicts{"OK  ", "WARN", "FAIL"};
    std::string text = fmt::format("{}  {}: {}\n", kVerdicts[static_cast<size_t>(line.verdict)],
                                   line.item, line.detail);
    if (!line.advice.empty()) text += fmt::format("      -> {}\n", line.advice);
    return text;
}

ExitStatus check_quietly() {
    Preflight report;
    check_kvm(report);
    const PreflightLine* reason = report.reason();
    if (reason == nullptr) return ExitStatus::success;
    print_text(fmt::format("{}: {}\n", reason->item, reason->detail));
    return ExitStatus::quiet_no;
}

}  // namespace

ExitStatus check_command(bool quiet) {
    if (quiet) return check_quietly();
    Preflight report;
    check_kvm(report);
    check_host(report);
    std::string text;
    for (const PreflightLine& line : report.lines)
        text += line_of(line);
    const PreflightLine* reason = report.reason();
    text += reason == nullptr ? "Linux guests can run here.\n"
                              : fmt::format("Linux guests cannot run here: {}: {}.\n", reason->item,
                                            reason->detail);
    print_text(text);
    return reason == nullptr ? ExitStatus::success : ExitStatus::host_failure;
}

}  // namespace mote
