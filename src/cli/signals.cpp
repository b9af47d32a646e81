#include "cli/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace mote {

namespace {

bool is_ignored(int signal) {
    struct sigaction action{};
    return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

Result<UniqueFd> take_signals() {
    sigset_t taken;
    ::sigemptyset(&taken);
    for (const int signal : {SIGTERM, SIGTSTP, SIGCONT})
        ::sigaddset(&taken, signal);
    for (const int signal : {SIGINT, SIGHUP, SIGQUIT})
        if (!is_ignored(signal)) ::sigaddset(&taken, signal);
    sigset_t blocked = taken;
    for (const int signal : {SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ})
        ::sigaddset(&blocked, signal);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    UniqueFd signals(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals.valid()) return fail_errno("cannot create a signalfd");
    return signals;
}

int next_signal(const UniqueFd& signals) {
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
    return static_cast<int>(info.ssi_signo);
}

}  // namespace mote
