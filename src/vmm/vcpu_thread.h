// VcpuThread: the thread of one vCPU, and the only one that enters KVM_RUN for
// it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "base/result.h"
#include "base/small_thread.h"
#include "kvm/vcpu.h"

namespace mote {

/// What a vCPU thread does after an exit has been handled.
struct AfterExit {
    enum class Next : uint8_t { run, wait, stop };
    Next next = Next::run;
    /// Of `wait`: the vCPU goes on once this holds; VcpuThread::wake() says when
    /// to look again.
    std::function<bool()> ready;
};

/// Handles the exits of all vCPUs, each on its own thread.
class ExitHandler {
  public:
    ExitHandler() = default;
    ExitHandler(const ExitHandler&) = delete;
    ExitHandler& operator=(const ExitHandler&) = delete;
    virtual ~ExitHandler() = default;

    virtual AfterExit handle(Vcpu& vcpu, const Exit& exit) = 0;
    /// KVM_RUN itself failed; the thread ends after this.
    virtual void run_failed(const Error& error) = 0;
};

/// Starts paused. pause(), resume() and stop() only ask, and may be called
/// again at any time by the main thread; at_rest() waits. A vCPU that waits for
/// a device counts as at rest: it looks at what is asked of it before it goes
/// on.
class VcpuThread {
  public:
    VcpuThread(Vcpu vcpu, ExitHandler& handler) : vcpu_(std::move(vcpu)), handler_(handler) {}
    /// Stops and joins.
    ~VcpuThread();
    VcpuThread(const VcpuThread&) = delete;
    VcpuThread& operator=(const VcpuThread&) = delete;

    /// Creates the thread, named vcpuN, and lets it run. Once. Errors: EAGAIN.
    Result<> start();
    void pause() { ask(State::paused); }
    void resume() { ask(State::running); }
    void stop() { ask(State::stopped); }
    /// True once the guest does not run on this vCPU, false where it still does
    /// at `deadline`.
    bool at_rest(std::chrono::steady_clock::time_point deadline);
    /// Waits for the thread's end, after stop().
    void join();
    /// Looks again at what the vCPU waits for. Any thread.
    void wake();

    [[nodiscard]] Vcpu& vcpu() { return vcpu_; }

  private:
    enum class State : uint8_t { running, paused, stopped };

    void ask(State wanted);
    void kick();
    void body();
    bool may_run(const std::function<bool()>& ready);
    AfterExit run_once();

    Vcpu vcpu_;
    ExitHandler& handler_;
    std::mutex mutex_;
    std::condition_variable changed_;
    State wanted_ = State::paused;
    bool resting_ = true;
    SmallThread thread_;
};

}  // namespace mote
