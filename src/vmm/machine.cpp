#include "vmm/machine.h"

#include <algorithm>

#include "base/log.h"
#include "vmm/machine_parts.h"

namespace mote {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kStopLimit = std::chrono::milliseconds(500);

/// Splits string I/O into its items: a device sees one register access at a
/// time.
template <class Access>
void for_each_item(const Exit& exit, Access&& access) {
    for (uint32_t i = 0; i < exit.count; ++i)
        access(exit.data.subspan(size_t{i} * exit.size, exit.size));
}

}  // namespace

AfterExit Machine::Parts::handle(Vcpu& vcpu, const Exit& exit) {
    switch (exit.kind) {
        case Exit::Kind::port_read:
            for_each_item(exit, [&](auto item) { platform_->ports().read(exit.address, item); });
            return run_on();
        case Exit::Kind::port_write:
            for_each_item(exit, [&](auto item) { platform_->ports().write(exit.address, item); });
            return run_on();
        case Exit::Kind::mmio_read:
            if (window_.contains({exit.address}))
                window_.read({exit.address}, exit.data);
            else if (!handle_mmio(exit))
                break;
            return run_on();
        case Exit::Kind::mmio_write: {
            if (!window_.contains({exit.address})) {
                if (!handle_mmio(exit)) break;
                return run_on();
            }
            writes_->drain();
            const MmioTransport* resetting = window_.write({exit.address}, exit.data);
            if (resetting == nullptr) return run_on();
            return {.next = AfterExit::Next::wait,
                    .ready = [resetting] { return !resetting->reset_pending(); }};
        }
        case Exit::Kind::interrupted:
            return run_on();
        case Exit::Kind::power_off:
            finish(EndKind::power_off, {});
            break;
        case Exit::Kind::reset:
            finish(EndKind::reboot, {});
            break;
        case Exit::Kind::shutdown:
            finish(EndKind::crash, fmt::format("vCPU {}: triple fault", vcpu.id()));
            break;
        case Exit::Kind::failure:
            finish(EndKind::crash, vcpu.failure());
            break;
    }
    return {.next = AfterExit::Next::stop, .ready = {}};
}

bool Machine::Parts::handle_mmio(const Exit& exit) {
    const bool write = exit.kind == Exit::Kind::mmio_write;
    const auto pmem = std::ranges::find_if(
        pmems_, [&exit](const PmemRegion& region) { return region.contains({exit.address}); });
    if (pmem == pmems_.end()) {
        if (write)
            platform_->mmio().write(exit.address, exit.data);
        else
            platform_->mmio().read(exit.address, exit.data);
        return true;
    }
    // What is read-only stays as it is; else this is memory, and KVM comes here where the host has
    // none behind it.
    if (write && pmem->read_only) return true;
    finish(EndKind::host_failure,
           fmt::format("{}: no memory at {:#x}{}", pmem->id, exit.address, shrunk_files(pmems_)));
    return false;
}

void Machine::Parts::run_failed(const Error& error) {
    finish(EndKind::host_failure, error.message + shrunk_files(pmems_));
}

void Machine::Parts::guest_power_off() {
    finish(EndKind::power_off, {});
}
void Machine::Parts::guest_reset() {
    finish(EndKind::reboot, {});
}
void Machine::Parts::guest_panicked() {
    finish(EndKind::panic, {});
}

void Machine::Parts::finish(EndKind kind, std::string detail) {
    const std::lock_guard lock(end_mutex_);
    if (end_) return;
    end_ = MachineEnd{kind, std::move(detail)};
    finished_ = true;
    ended_.signal();
}

AfterExit Machine::Parts::run_on() const {
    const bool stop = finished_.load(std::memory_order_relaxed);
    return {.next = stop ? AfterExit::Next::stop : AfterExit::Next::run, .ready = {}};
}

void Machine::Parts::wake_vcpus() {
    for (VcpuThread& vcpu : vcpus_)
        vcpu.wake();
}

std::vector<MmioTransport::Pause> Machine::Parts::start_pauses() const {
    std::vector<MmioTransport::Pause> pauses;
    for (const auto& transport : window_.transports())
        pauses.push_back(transport->start_pause());
    return pauses;
}

Machine::Machine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Machine::~Machine() = default;

Result<std::unique_ptr<Machine>> Machine::create(const ValidMachineConfig& config,
                                                 Resources resources,
                                                 const ConsoleOutputs& outputs) {
    auto parts = TRY(Parts::create(config.get(), std::move(resources), outputs));
    return std::unique_ptr<Machine>(new Machine(std::move(parts)));
}

Result<> Machine::start() {
    for (DeviceWorker& worker : parts_->workers_)
        worker.thread = TRY(WorkerThread::start(*worker.loop, worker.name));
    for (VcpuThread& vcpu : parts_->vcpus_)
        TRY(vcpu.start());
    return {};
}

Result<> Machine::pause(std::chrono::milliseconds limit) {
    const auto deadline = Clock::now() + limit;
    for (VcpuThread& vcpu : parts_->vcpus_)
        vcpu.pause();
    for (VcpuThread& vcpu : parts_->vcpus_) {
        if (vcpu.at_rest(deadline)) continue;
        resume();
        return fail("vCPU {} did not come to rest within {} ms", vcpu.vcpu().id(), limit.count());
    }
    Result<> rested;
    for (MmioTransport::Pause& pause : parts_->start_pauses())
        if (auto one = pause.wait(deadline); !one) rested = std::move(one);
    if (!rested) {
        resume();
        return rested;
    }
    parts_->writes_->drain();
    return {};
}

void Machine::resume() {
    for (const auto& transport : parts_->window_.transports())
        transport->resume();
    for (VcpuThread& vcpu : parts_->vcpus_)
        vcpu.resume();
}

void Machine::press_power_button() {
    parts_->platform_->press_power_button();
}

ConsoleInput* Machine::serial_input() {
    return parts_->platform_->serial_input();
}

ConsoleInput* Machine::virtio_console_input() {
    return parts_->virtio_console_;
}

const EventFd& Machine::ended() const {
    return parts_->ended_;
}

MachineEnd Machine::end() const {
    const std::lock_guard lock(parts_->end_mutex_);
    return parts_->end_.value_or(MachineEnd{EndKind::host_failure, "the machine has not ended"});
}

void Machine::stop() {
    const auto deadline = Clock::now() + kStopLimit;
    for (VcpuThread& vcpu : parts_->vcpus_)
        vcpu.stop();
    for (VcpuThread& vcpu : parts_->vcpus_)
        vcpu.at_rest(deadline);
    // What a guest wrote before it powered off has reached the disk's file, or is
    // reported.
    for (MmioTransport::Pause& pause : parts_->start_pauses())
        if (const auto paused = pause.wait(deadline); !paused)
            log_message(LogLevel::warning, "{}", paused.error().message);
    parts_->writes_->drain();
}

}  // namespace mote
