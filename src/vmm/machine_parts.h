// What a Machine consists of; for the files of src/vmm that build and run it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "devices/console_io.h"
#include "devices/machine_events.h"
#include "devices/virtio/frame_filter.h"
#include "kvm/kvm.h"
#include "kvm/vm.h"
#include "memory/guest_memory.h"
#include "vmm/coalesced_writes.h"
#include "vmm/machine.h"
#include "vmm/platform.h"
#include "vmm/pmem_region.h"
#include "vmm/vcpu_thread.h"
#include "vmm/virtio_window.h"
#include "vmm/worker_thread.h"

namespace mote {

/// A thread that devices live on: of all that have none of their own, or of one alone.
struct DeviceWorker {
    std::string name;
    std::unique_ptr<EventLoop> loop;
    std::unique_ptr<WorkerThread> thread;  ///< from Machine::start() on
};

/// The guest's RAM, shared with the processes that serve its disks where there are any.
struct GuestRam {
    UniqueFd file;  ///< its memfd, if it is shared
    GuestMemory memory;

    /// What `regions` say, for a machine with `disks`. Errors: ENOMEM, EMFILE, ENFILE, EFBIG.
    static Result<GuestRam> create(std::vector<RegionConfig> regions,
                                   std::span<const DiskResource> disks);
};

/// Everything of one machine. Members are destroyed from below: after the threads go the vCPUs, the
/// devices, the VM and last the memory under it.
struct Machine::Parts final : public ExitHandler, public MachineEvents {
    Parts(Kvm&& kvm, GuestRam&& ram, std::vector<PmemRegion>&& pmems, VirtioWindow&& window,
          Vm&& vm, EventFd&& ended);
    /// Ends all threads before anything they use goes.
    ~Parts() override;

    /// Builds all of it but the threads; see Machine::create().
    static Result<std::unique_ptr<Parts>> create(const MachineConfig& config, Resources resources,
                                                 const ConsoleOutputs& outputs);

    AfterExit handle(Vcpu& vcpu, const Exit& exit) override;
    void run_failed(const Error& error) override;
    void guest_power_off() override;
    void guest_reset() override;
    void guest_panicked() override;

    /// Notes how the machine ended and wakes who waits for it; the first call
    /// counts. Any thread.
    void finish(EndKind kind, std::string detail);
    /// An access outside of the virtio window. False where the machine has to end.
    bool handle_mmio(const Exit& exit);
    void wake_vcpus();
    /// Asks all devices to come to rest: one that hangs takes no time from the others.
    [[nodiscard]] std::vector<MmioTransport::Pause> start_pauses() const;
    /// Runs on, or stops where the machine has ended meanwhile: no vCPU goes on
    /// needlessly.
    [[nodiscard]] AfterExit run_on() const;

    Kvm kvm_;
    UniqueFd memory_file_;
    GuestMemory memory_;
    std::vector<PmemRegion> pmems_;
    std::vector<DeviceWorker> workers_;                  ///< the first one is shared
    std::vector<std::unique_ptr<FrameFilter>> filters_;  ///< of network devices
    VirtioWindow window_;
    Vm vm_;
    EventFd ended_;
    std::mutex end_mutex_;
    std::optional<MachineEnd> end_;
    std::atomic<bool> finished_ = false;
    std::optional<CoalescedWrites> writes_;  ///< its ring lies in vCPU 0's mapping
    std::unique_ptr<Platform> platform_;
    ConsoleInput* virtio_console_ = nullptr;  ///< in the window; null where there is none
    std::deque<VcpuThread> vcpus_;
};

}  // namespace mote
