#include "vmm/vcpu_thread.h"

#include <csignal>

namespace mote {

namespace {

// A signal can arrive after the thread has looked and before it enters KVM_RUN:
// its handler leaves word in the kvm_run page, which KVM reads on entry
// (KVM_CAP_IMMEDIATE_EXIT).
thread_local Vcpu* current_vcpu = nullptr;

int kick_signal() {
    return SIGRTMIN;
}

void on_kick(int /*signal*/) {
    if (current_vcpu != nullptr) current_vcpu->request_exit();
}

void install_kick_handler() {
    struct sigaction action{};
    action.sa_handler = on_kick;
    ::sigaction(kick_signal(), &action, nullptr);
}

constexpr auto kKickAgain = std::chrono::milliseconds(20);

}  // namespace

VcpuThread::~VcpuThread() {
    stop();
    join();
}

void VcpuThread::join() {
    if (!thread_.running()) return;
    // Kicks again and again: one alone can come between two looks.
    while (!at_rest(std::chrono::steady_clock::now() + kKickAgain)) {
    }
    thread_.join();
}

Result<> VcpuThread::start() {
    install_kick_handler();
    wanted_ = State::running;
    resting_ = false;
    auto started = thread_.start(fmt::format("vcpu{}", vcpu_.id()), [this] { body(); });
    if (!started) resting_ = true;
    return started;
}

void VcpuThread::ask(State wanted) {
    const std::lock_guard lock(mutex_);
    if (wanted_ == State::stopped || wanted_ == wanted) return;
    wanted_ = wanted;
    changed_.notify_all();
    if (wanted != State::running) kick();
}

void VcpuThread::kick() {
    if (thread_.running() && !resting_) thread_.signal(kick_signal());
}

void VcpuThread::wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

bool VcpuThread::at_rest(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    while (!resting_) {
        const auto now = std::chrono::steady_clock::now();
        if (now >= deadline) return false;
        changed_.wait_until(lock, std::min(deadline, now + kKickAgain));
        if (!resting_) kick();
    }
    return true;
}

bool VcpuThread::may_run(const std::function<bool()>& ready) {
    std::unique_lock lock(mutex_);
    const auto runnable = [&] { return wanted_ == State::running && (!ready || ready()); };
    while (!runnable() && wanted_ != State::stopped) {
        resting_ = true;
        changed_.notify_all();
        changed_.wait(lock);
    }
    resting_ = wanted_ == State::stopped;
    if (resting_) changed_.notify_all();
    return !resting_;
}

AfterExit VcpuThread::run_once() {
    auto exit = vcpu_.run();
    if (!exit) {
        handler_.run_failed(exit.error());
        return {.next = AfterExit::Next::stop, .ready = {}};
    }
    if (exit->kind == Exit::Kind::interrupted) return {};
    return handler_.handle(vcpu_, *exit);
}

void VcpuThread::body() {
    current_vcpu = &vcpu_;
    AfterExit after;
    do {
        // Cleared before looking: a kick that comes later is seen by KVM_RUN.
        vcpu_.clear_exit_request();
        if (!may_run(after.ready)) break;
        after = run_once();
    } while (after.next != AfterExit::Next::stop);
    const std::lock_guard lock(mutex_);
    wanted_ = State::stopped;
    resting_ = true;
    changed_.notify_all();
}

}  // namespace mote
