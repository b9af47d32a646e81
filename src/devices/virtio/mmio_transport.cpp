#include "devices/virtio/mmio_transport.h"

#include <sys/epoll.h>

#include <array>
#include <condition_variable>
#include <cstring>

namespace mote {

namespace {

/// Configuration writes that may wait for the worker; a guest that writes faster loses some.
constexpr uint32_t kMaxConfigWrites = 64;
/// The widest access of a guest.
constexpr size_t kMaxWrite = 8;

MmioIdentity identity_of(const VirtioDevice& device) {
    return {
        .type = device.type(), .features = device.features(), .queue_sizes = device.queue_sizes()};
}

/// The eventfd behind InterruptACK. Nobody reads it, so one serves all transports of the process.
/// Errors: EMFILE, ENFILE, ENOMEM.
Result<int> acknowledged_fd() {
    static std::mutex mutex;
    static EventFd event;
    const std::lock_guard lock(mutex);
    if (event.fd() < 0) event = TRY(EventFd::create());
    return event.fd();
}

}  // namespace

Result<std::unique_ptr<MmioTransport>> MmioTransport::create(
    std::unique_ptr<VirtioDevice> device, const GuestMemory& memory, EventLoop& worker,
    std::span<std::byte, RegisterPage::kSize> page, EventFd line) {
    if (device->config().size() > RegisterPage::kMaxConfig)
        return fail("device '{}': a configuration space of {} bytes does not fit its page",
                    device->name(), device->config().size());
    std::unique_ptr<MmioTransport> transport(
        new MmioTransport(std::move(device), memory, worker, page, std::move(line)));
    TRY(transport->create_doorbells());
    return transport;
}

MmioTransport::MmioTransport(std::unique_ptr<VirtioDevice> device, const GuestMemory& memory,
                             EventLoop& worker, std::span<std::byte, RegisterPage::kSize> page,
                             EventFd line)
    : device_(std::move(device)),
      memory_(memory),
      worker_(worker),
      line_(std::move(line)),
      registers_(identity_of(*device_), page, device_->config()) {}

// The loop has ended: nothing of the device runs any more, and what the device still holds (chains
// of requests in flight) it gives up while its queues are there.
MmioTransport::~MmioTransport() {
    for (const auto& queue : queues_)
        if (queue) queue->close();
    if (active_) device_->reset();
    unwatch_kicks();
}

Result<> MmioTransport::create_doorbells() {
    const size_t queues = device_->queue_sizes().size();
    kicks_.reserve(queues);
    for (size_t i = 0; i < queues; ++i) {
        kicks_.push_back(Kick{.event = TRY(EventFd::create())});
        kick_fds_.push_back(kicks_[i].event.fd());
        doorbells_.push_back(
            {.offset = mmio::kQueueNotify, .length = 4, .value = i, .fd = kicks_[i].event.fd()});
    }
    const int acknowledged = TRY(acknowledged_fd());
    doorbells_.push_back({.offset = mmio::kInterruptAck,
                          .length = 4,
                          .value = mmio::kInterruptUsed,
                          .fd = acknowledged});
    return {};
}

// --- The driver's writes -------------------------------------------------------------------------

MmioTransport::WriteResult MmioTransport::write(uint64_t offset, std::span<const std::byte> data) {
    const std::lock_guard lock(mutex_);
    if (reset_pending()) {
        note("a write while a reset is pending", offset);
        return WriteResult::reset_pending;
    }
    if (offset >= mmio::kConfig) return write_config(offset - mmio::kConfig, data);
    uint32_t value = 0;
    if (data.size() != sizeof value || offset % sizeof value != 0) {
        note("a register write that is not 32 bits wide", offset);
        return WriteResult::done;
    }
    std::memcpy(&value, data.data(), sizeof value);
    const MmioRegisters::Outcome outcome = registers_.write(offset, value);
    switch (outcome.effect) {
        case MmioRegisters::Effect::none:
            break;
        case MmioRegisters::Effect::ignored:
            note(outcome.text, offset);
            break;
        case MmioRegisters::Effect::notify:
            kicks_[outcome.value].event.signal();
            break;
        case MmioRegisters::Effect::driver_ok:
            start_activation();
            break;
        case MmioRegisters::Effect::reset:
            return start_reset();
    }
    return WriteResult::done;
}

void MmioTransport::read(uint64_t offset, std::span<std::byte> data) const {
    const std::lock_guard lock(mutex_);
    registers_.page().read(offset, data);
}

void MmioTransport::note(std::string_view text, uint64_t offset) {
    if (log_limiter_.allow())
        log_message(LogLevel::info, "device '{}': ignored {}, at {:#05x}", name(), text, offset);
}

MmioTransport::WriteResult MmioTransport::write_config(uint64_t offset,
                                                       std::span<const std::byte> data) {
    // A driver may write it once features are agreed on, before DRIVER_OK too (3.1.1, step 7).
    if (!registers_.features_ok() || data.size() > kMaxWrite ||
        config_writes_ == kMaxConfigWrites) {
        note("a write to the configuration space", mmio::kConfig + offset);
        return WriteResult::done;
    }
    ++config_writes_;
    std::array<std::byte, kMaxWrite> copy;
    std::memcpy(copy.data(), data.data(), data.size());
    worker_.post([this, offset, copy, size = data.size()] {
        {
            const std::lock_guard lock(mutex_);
            --config_writes_;
        }
        device_->config_write(offset, std::span(copy).first(size));
        const std::lock_guard lock(mutex_);
        registers_.config_written(device_->config());
    });
    return WriteResult::done;
}

// What the driver configured becomes queues, or the device wants a reset.
void MmioTransport::start_activation() {
    const uint64_t features = registers_.driver_features();
    std::vector<std::unique_ptr<Queue>> queues;
    for (const QueueConfig& config : registers_.queues()) {
        if (!config.ready) {
            queues.emplace_back();
            continue;
        }
        auto queue = Queue::create(config, memory_, features,
                                   [this](std::string_view why) { needs_reset(why); });
        if (!queue)
            return break_device(fmt::format("queue {}: {}", queues.size(), queue.error().message));
        queues.push_back(*std::move(queue));
    }
    started_ = true;
    queues_ = std::move(queues);
    worker_.post([this, features] { activate(features); });
}

MmioTransport::WriteResult MmioTransport::start_reset() {
    // Only the worker knows when posted writes to the configuration space are done, and what it
    // holds.
    if (!started_ && config_writes_ == 0 && !registers_.config_withheld()) {
        registers_.reset();
        return WriteResult::done;
    }
    reset_pending_.store(true, std::memory_order_release);
    worker_.post([this] { reset_device(); });
    return WriteResult::reset_pending;
}

void MmioTransport::break_device(std::string_view why) {
    registers_.needs_reset();
    if (log_limiter_.allow())
        log_message(LogLevel::warning, "device '{}': needs a reset by the guest's driver: {}",
                    name(), why);
    line_.signal();
}

// --- The device's interrupts ---------------------------------------------------------------------

void MmioTransport::queue(uint16_t index) {
    static_cast<void>(index);  // one line for all; bit 0 of InterruptStatus is set anyway
    line_.signal();
}

void MmioTransport::config() {
    const std::lock_guard lock(mutex_);
    show_config();
}

void MmioTransport::refresh_config() {
    const std::lock_guard lock(mutex_);
    registers_.config_written(device_->config());
}

void MmioTransport::show_config() {
    registers_.config_changed(device_->config());
    if (registers_.driver_ok()) line_.signal();
}

void MmioTransport::needs_reset(std::string_view why) {
    const std::lock_guard lock(mutex_);
    break_device(why);
}

// --- The worker ----------------------------------------------------------------------------------

void MmioTransport::activate(uint64_t features) {
    queue_list_.clear();
    for (const auto& queue : queues_)
        queue_list_.push_back(queue.get());
    active_ = true;
    auto result = device_->activate({.queues = queue_list_,
                                     .interrupt = *this,
                                     .loop = worker_,
                                     .features = features,
                                     .kick_fds = kick_fds_,
                                     .call_fd = line_.fd()});
    if (result && !device_->served_elsewhere()) result = watch_kicks();
    if (!result) {
        for (Queue* const queue : queue_list_)
            if (queue != nullptr) queue->close();
        needs_reset(result.error().message);
    }
    const std::lock_guard lock(mutex_);
    if (registers_.config_withheld()) show_config();
}

// Edge-triggered: each signal wakes the loop once, and nobody has to read the count. A kick from
// before this is still in it and wakes the loop as well.
Result<> MmioTransport::watch_kicks() {
    for (uint16_t i = 0; i < kicks_.size(); ++i) {
        if (!queues_[i]) continue;
        TRY(worker_.add(kicks_[i].event.fd(), EPOLLIN | EPOLLET,
                        [this, i](uint32_t) { on_kick(i); }));
        kicks_[i].watched = true;
    }
    return {};
}

void MmioTransport::unwatch_kicks() {
    for (Kick& kick : kicks_)
        if (std::exchange(kick.watched, false)) worker_.remove(kick.event.fd());
}

void MmioTransport::on_kick(uint16_t index) {
    if (!paused_ && !resetting_) serve(index);
}

void MmioTransport::serve(uint16_t index) {
    // More to do: come back after what else the loop has.
    if (device_->on_queue(index)) kicks_[index].event.signal();
}

void MmioTransport::reset_device() {
    resetting_ = true;
    unwatch_kicks();
    for (const auto& queue : queues_)
        if (queue) queue->close();
    if (!active_) return finish_reset();
    device_->drain([this] { finish_reset(); });
}

void MmioTransport::finish_reset() {
    if (active_) device_->reset();
    queues_.clear();
    active_ = resetting_ = false;
    {
        const std::lock_guard lock(mutex_);
        started_ = false;
        registers_.reset();
        registers_.config_written(device_->config());
        reset_pending_.store(false, std::memory_order_release);
    }
    if (on_reset_done_) on_reset_done_();
    at_rest();
}

void MmioTransport::at_rest() {
    if (const auto done = std::exchange(on_paused_, {})) done();
}

// --- Pause ---------------------------------------------------------------------------------------

/// Shared with the worker, which may come to it long after nobody waits any more.
struct MmioTransport::Pause::State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
};

MmioTransport::Pause MmioTransport::start_pause() {
    auto state = std::make_shared<Pause::State>();
    const auto finish = [state] {
        const std::lock_guard lock(state->mutex);
        state->done = true;
        state->changed.notify_one();
    };
    worker_.post([this, finish] {
        paused_ = true;
        on_paused_ = finish;
        if (!active_) return at_rest();
        // A reset drains the device already and comes to rest by itself.
        if (!resetting_) device_->drain([this] { at_rest(); });
    });
    return {*this, std::move(state)};
}

Result<> MmioTransport::Pause::wait(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(state_->mutex);
    if (state_->changed.wait_until(lock, deadline, [this] { return state_->done; })) return {};
    lock.unlock();
    transport_.resume();
    return fail("device '{}': requests are still in flight; is its storage hung?",
                transport_.name());
}

Result<> MmioTransport::pause(std::chrono::milliseconds limit) {
    return start_pause().wait(std::chrono::steady_clock::now() + limit);
}

void MmioTransport::resume() {
    worker_.post([this] {
        on_paused_ = {};
        if (!std::exchange(paused_, false) || !active_ || resetting_) return;
        device_->resume();
        for (uint16_t i = 0; i < kicks_.size(); ++i)
            if (queues_[i]) serve(i);
    });
}

}  // namespace mote
