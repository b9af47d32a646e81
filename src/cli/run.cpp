#include "cli/run.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/consoles.h"
#include "cli/end_policy.h"
#include "cli/print.h"
#include "cli/signals.h"
#include "control/resources.h"
#include "control/validate.h"
#include "vmm/machine.h"

namespace mote {

namespace {

using Clock = EndPolicy::Clock;
using Act = EndPolicy::Act;

// How long the end waits for somebody to take the rest of the guest's output.
constexpr std::chrono::milliseconds kFlushLimit{1000};
// And then for somebody to take mote's own last words.
constexpr std::chrono::milliseconds kMessageLimit{1000};

/// Serves signals and console until the machine has ended or somebody ended it.
class Runner {
  public:
    Runner(Machine& machine, Consoles& consoles, const UniqueFd& signals,
           std::chrono::seconds grace)
        : machine_(machine), consoles_(consoles), signals_(signals), policy_(grace) {}

    /// How it ended. Restores the terminal; prints why if it is not as the guest wanted.
    ExitStatus run() {
        while (!ended_)
            wait_once();
        const bool by_itself = status_ != ExitStatus::ended;
        const MachineEnd end = by_itself ? machine_.end() : MachineEnd{EndKind::power_off, {}};
        machine_.stop();
        const uint64_t untaken = consoles_.finish(kFlushLimit);
        const bool says_something = untaken != 0 || !by_itself || end.kind != EndKind::power_off;
        if (says_something && consoles_.leaves_line_open()) log_text("\n");
        if (untaken != 0)
            print_warning(fmt::format(
                "console: the last {} bytes of the guest's output are lost: nobody took them "
                "within {} ms",
                untaken, kFlushLimit.count()));
        if (by_itself) {
            status_ = status_of(end.kind);
            report(end);
        } else {
            print_warning(reason_);
        }
        return status_;
    }

  private:
    void wait_once() {
        const auto consoles = consoles_.events();
        std::array<pollfd, 2 + Consoles::kMost> descriptors{{
            {.fd = signals_.get(), .events = POLLIN, .revents = 0},
            {.fd = machine_.ended().fd(), .events = POLLIN, .revents = 0},
            {.fd = consoles[0], .events = POLLIN, .revents = 0},
            {.fd = consoles[1], .events = POLLIN, .revents = 0},
        }};
        ::poll(descriptors.data(), descriptors.size(), timeout());
        if (descriptors[1].revents != 0) {
            status_ = ExitStatus::success;
            ended_ = true;
            return;
        }
        if (descriptors[0].revents != 0) on_signal(next_signal(signals_));
        if (descriptors[2].revents != 0 || descriptors[3].revents != 0)
            on_console(consoles_.take_event());
        act(policy_.on_time(Clock::now()));
    }

    [[nodiscard]] int timeout() const {
        const auto next = policy_.next();
        if (!next) return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now());
        return static_cast<int>(std::max<int64_t>(left.count(), 0));
    }

    void on_signal(int signal) {
        switch (signal) {
            case SIGTERM:
            case SIGINT:
                act(policy_.on_terminate(Clock::now()));
                break;
            case SIGHUP:
                act(policy_.on_hangup(Clock::now()));
                break;
            case SIGQUIT:
                end("ended by SIGQUIT");
                break;
            case SIGTSTP:
                consoles_.suspend();
                ::kill(::getpid(), SIGSTOP);
                break;
            case SIGCONT:
                consoles_.resume();
                break;
            default:
                break;
        }
    }

    void on_console(ConsoleEvent event) {
        switch (event) {
            case ConsoleEvent::none:
                break;
            case ConsoleEvent::quit:
                end("ended by Ctrl-A x");
                break;
            case ConsoleEvent::hangup:
                act(policy_.on_hangup(Clock::now()));
                break;
        }
    }

    void act(Act act) {
        switch (act) {
            case Act::nothing:
                break;
            case Act::press_power_button:
                machine_.press_power_button();
                break;
            case Act::end:
                end("ended by a second signal");
                break;
            case Act::grace_is_over:
                end("the guest did not power off within the grace time");
                break;
        }
    }

    void end(std::string_view why) {
        ended_ = true;
        status_ = ExitStatus::ended;
        reason_ = why;
    }

    static void report(const MachineEnd& end) {
        const std::string detail = end.detail.empty() ? "" : ": " + end.detail;
        switch (end.kind) {
            case EndKind::power_off:
                break;
            case EndKind::reboot:
                print_warning("the guest asked for a reboot" + detail);
                break;
            case EndKind::panic:
                print_error("the guest panicked" + detail);
                break;
            case EndKind::crash:
                print_error("the guest crashed" + detail);
                break;
            case EndKind::host_failure:
                print_error("the host failed" + detail);
                break;
        }
    }

    Machine& machine_;
    Consoles& consoles_;
    const UniqueFd& signals_;
    EndPolicy policy_;
    bool ended_ = false;
    ExitStatus status_ = ExitStatus::ended;
    std::string_view reason_;
};

ExitStatus failed(ExitStatus status, const Error& error) {
    print_error(error.message);
    return status;
}

/// Where no system call has failed, what was given does not fit: a truncated kernel, say.
ExitStatus status_of(const Error& error) {
    return error.code == 0 ? ExitStatus::bad_input : ExitStatus::host_failure;
}

Result<ValidMachineConfig> checked_config(const RunOptions& options) {
    MachineConfig config = TRY(build_config(options));
    add_window_size(config, STDOUT_FILENO);
    return validate_options(std::move(config), options);
}

/// What comes once signals are blocked. Its messages wait for nobody: no signal but SIGKILL could
/// end a wait.
ExitStatus run_machine(const ValidMachineConfig& config, Resources resources,
                       const UniqueFd& signals) {
    auto consoles = Consoles::create(config.get());
    if (!consoles) return failed(ExitStatus::host_failure, consoles.error());

    // Outlive the machine; removed by their destructors, or before the end without one.
    SocketName vsock_name = std::move(resources.vsock_name);
    std::vector<AutoNetwork> networks = std::move(resources.networks);
    auto machine = Machine::create(config, std::move(resources), consoles->outputs());
    if (!machine) return failed(status_of(machine.error()), machine.error());
    // Only now: a machine that cannot be made leaves no file or socket behind.
    const auto opened = consoles->open();
    if (!opened) return failed(ExitStatus::bad_input, opened.error());
    const auto started = (*machine)->start();
    if (!started) {
        consoles->finish(kFlushLimit);
        return failed(ExitStatus::host_failure, started.error());
    }
    const auto reading = consoles->start_input(**machine);
    if (!reading) print_error(reading.error().message);
    Runner runner(**machine, *consoles, signals, std::chrono::seconds(config->grace_seconds));
    const ExitStatus status = runner.run();
    vsock_name.remove();
    for (AutoNetwork& network : networks)
        network.remove();
    flush_log(kMessageLimit);
    ::_exit(static_cast<int>(status));
}

}  // namespace

ExitStatus run_command(const RunOptions& options) {
    const auto config = checked_config(options);
    if (!config) return failed(ExitStatus::bad_input, config.error());
    auto resources = open_resources(*config);
    if (!resources) return failed(ExitStatus::bad_input, resources.error());
    const auto signals = take_signals();
    if (!signals) return failed(ExitStatus::host_failure, signals.error());
    log_without_waiting();
    const ExitStatus status = run_machine(*config, *std::move(resources), *signals);
    flush_log(kMessageLimit);
    return status;
}

}  // namespace mote
