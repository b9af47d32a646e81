#include "devices/virtio/vhost_user_block.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace mote {

using namespace vhost_user;
using std::chrono::milliseconds;

namespace {

/// What the guest may be offered, if the back end has it: features that need nothing of mote's.
constexpr uint64_t kKnown = virtio::kFeatureVersion1 | virtio::kFeatureEventIndex |
                            virtio::kFeatureIndirect | virtio::kBlockSizeMax |
                            virtio::kBlockSegMax | virtio::kBlockReadOnly | virtio::kBlockBlkSize |
                            virtio::kBlockFlush | virtio::kBlockTopology | virtio::kBlockDiscard |
                            virtio::kBlockWriteZeroes;

/// How often the rings are looked at while requests are in flight that a drain waits for.
constexpr milliseconds kLook{1};

/// What a back end does wrong at the start, and what a person can do about it.
Result<> with_advice(Result<> done) {
    if (!done)
        done.error().message +=
            " while the disk is set up; see that it runs, serves disks and serves nobody else";
    return done;
}

template <class T>
T from_bytes(std::span<const std::byte> bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

}  // namespace

// --- The start -----------------------------------------------------------------------------------

Result<std::unique_ptr<VhostUserBlock>> VhostUserBlock::create(VhostUserBlockConfig config,
                                                               const GuestMemory& memory) {
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer.valid()) return fail_errno("{}: cannot create a timer", config.id);
    std::unique_ptr<VhostUserBlock> device(
        new VhostUserBlock(std::move(config), memory, std::move(timer)));
    if (const auto shaken = device->shake_hands(); !shaken)
        return std::unexpected(
            Error{fmt::format("{}: {}", device->id_, device->blame(shaken.error().message)),
                  shaken.error().code});
    return device;
}

VhostUserBlock::VhostUserBlock(VhostUserBlockConfig config, const GuestMemory& memory,
                               UniqueFd timer)
    : id_(std::move(config.id)),
      path_(std::move(config.path)),
      patience_(config.patience),
      memory_(memory),
      timer_(std::move(timer)),
      socket_(std::move(config.socket)) {}

std::string VhostUserBlock::blame(std::string_view what) const {
    return fmt::format("the vhost-user back end at {} {}", path_, what);
}

Result<> VhostUserBlock::shake_hands() {
    static constexpr std::string_view kAnother = "give a vhost-user-blk back end";
    const auto deadline = std::chrono::steady_clock::now() + patience_;
    const auto ask = [&](Request request, std::span<const std::byte> payload, size_t size) {
        return with_advice(socket_.ask(request, payload, size, deadline));
    };
    TRY(ask(Request::get_features, {}, sizeof(uint64_t)));
    const auto offered = from_bytes<uint64_t>(socket_.payload());
    if ((offered & virtio::kFeatureVersion1) == 0)
        return fail("offers nothing of virtio 1.0 or later; {}", kAnother);
    if ((offered & kFeatureProtocol) == 0)
        return fail("negotiates no protocol features; {}", kAnother);
    TRY(ask(Request::get_protocol_features, {}, sizeof(uint64_t)));
    if ((from_bytes<uint64_t>(socket_.payload()) & kProtocolConfig) == 0)
        return fail("does not tell its configuration; {}", kAnother);
    TRY(with_advice(socket_.send(Request::set_protocol_features, kProtocolConfig)));
    TRY(with_advice(socket_.send(Request::set_owner, std::span<const std::byte>())));
    const ConfigSpace wanted{.offset = 0, .size = kConfigBytes, .flags = 0, .bytes = {}};
    TRY(ask(Request::get_config, std::as_bytes(std::span(&wanted, 1)), sizeof wanted));
    const auto space = from_bytes<ConfigSpace>(socket_.payload());
    if (space.offset != 0 || space.size != kConfigBytes)
        return fail("answers with another part of its configuration than was asked for; {}",
                    kAnother);
    if (from_bytes<uint64_t>(space.bytes) == 0)
        return fail("has a disk without a sector; give it an image");
    features_ = offered & kKnown;
    space_ = space.bytes;
    return {};
}

// --- The driver is ready -------------------------------------------------------------------------

Result<> VhostUserBlock::activate(const Activation& activation) {
    if (!lost_.empty()) return fail("{}", lost_);
    if (activation.queues[0] == nullptr) return {};
    queue_ = activation.queues[0];
    interrupt_ = &activation.interrupt;
    kick_fd_ = activation.kick_fds[0];
    call_fd_ = activation.call_fd;
    base_ = 0;
    TRY(watch(activation.loop));
    auto told = tell_driver(activation.features);
    if (told) told = start_ring();
    if (told) return {};
    lose(told.error().message);
    return fail("{}", lost_);
}

/// What the driver agreed to, and where its memory is.
Result<> VhostUserBlock::tell_driver(uint64_t agreed) {
    TRY(socket_.send(Request::set_features, agreed | kFeatureProtocol));
    const auto regions = memory_.regions();
    if (regions.size() > kMaxRegions) return fail("cannot be told of {} regions", regions.size());
    MemoryTable table{.count = static_cast<uint32_t>(regions.size()), .padding = 0, .regions = {}};
    std::vector<int> files;
    for (size_t i = 0; i < regions.size(); ++i) {
        const RegionConfig& region = regions[i].config;
        // Where mote has it is nobody's business: the guest's addresses serve as well.
        table.regions[i] = {.guest_address = region.base.value,
                            .size = region.size,
                            .user_address = region.base.value,
                            .offset = region.offset};
        files.push_back(region.fd);
    }
    const size_t used = offsetof(MemoryTable, regions) + regions.size() * sizeof(MemoryRegion);
    return socket_.send(Request::set_mem_table, std::as_bytes(std::span(&table, 1)).first(used),
                        files);
}

/// From base_ on. The eventfd for interrupts comes before the one for notifications, which is the
/// start.
Result<> VhostUserBlock::start_ring() {
    constexpr uint64_t kIndex = 0;
    TRY(socket_.send(Request::set_vring_num, VringState{.index = 0, .number = queue_->size()}));
    TRY(socket_.send(Request::set_vring_base, VringState{.index = 0, .number = base_}));
    TRY(socket_.send(Request::set_vring_addr,
                     VringAddresses{.index = 0,
                                    .flags = 0,
                                    .descriptors = queue_->descriptors().value,
                                    .used = queue_->used_ring().value,
                                    .available = queue_->available_ring().value,
                                    .log = 0}));
    TRY(socket_.send(Request::set_vring_call, kIndex, std::span(&call_fd_, 1)));
    TRY(socket_.send(Request::set_vring_kick, kIndex, std::span(&kick_fd_, 1)));
    TRY(socket_.send(Request::set_vring_enable, VringState{.index = 0, .number = 1}));
    ring_ = Ring::running;
    return {};
}

// --- Pause and reset -----------------------------------------------------------------------------

void VhostUserBlock::drain(std::function<void()> done) {
    if (ring_ == Ring::none || ring_ == Ring::stopped) return done();
    on_drained_ = std::move(done);
    resumed_ = false;
    if (ring_ != Ring::running) return;
    ring_ = Ring::settling;
    settle_until_ = std::chrono::steady_clock::now() + patience_ / 2;
    settle();
}

bool VhostUserBlock::in_flight() const {
    const auto index = [this](GuestAddress ring) {
        const auto found = memory_.ring_index({ring.value + virtio::kRingIndex});
        return found ? found->load(std::memory_order_acquire) : uint16_t{0};
    };
    return index(queue_->available_ring()) != index(queue_->used_ring());
}

// Not every back end answers what it has in hand before it stops: QEMU 7.2's then finds its eventfd
// gone and gives up, and others might write to what is the driver's own again. The rings tell when
// there is nothing; the driver adds nothing that it wants answered, for it waits for the reset.
void VhostUserBlock::settle() {
    if (in_flight() && std::chrono::steady_clock::now() < settle_until_) return set_timer(kLook);
    ring_ = Ring::stopping;
    set_timer(patience_ / 2);
    socket_.expect(Request::get_vring_base, sizeof(VringState));
    const auto sent = socket_.send(Request::get_vring_base, VringState{.index = 0, .number = 0});
    if (!sent) fail_device(sent.error().message);
}

void VhostUserBlock::resume() {
    if (ring_ == Ring::settling) {
        ring_ = Ring::running;
        set_timer(milliseconds(0));
        on_drained_ = {};
    } else if (ring_ == Ring::stopping) {
        resumed_ = true;
        on_drained_ = {};
    } else if (ring_ == Ring::stopped) {
        go_on();
    }
}

// What the driver had added before a pause has its kick behind it: the back end is given another.
void VhostUserBlock::go_on() {
    if (const auto started = start_ring(); !started) return fail_device(started.error().message);
    // A back end can make what it shares with us block, and full. That would stop this thread.
    ::fcntl(kick_fd_, F_SETFL, O_RDWR | O_NONBLOCK);
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(kick_fd_, &one, sizeof one);
}

void VhostUserBlock::reset() {
    if (ring_ != Ring::none && ring_ != Ring::stopped) lose("was left at its work");
    unwatch();
    ring_ = Ring::none;
    queue_ = nullptr;
    resumed_ = false;
    on_drained_ = {};
}

// --- The back end's side -------------------------------------------------------------------------

Result<> VhostUserBlock::watch(EventLoop& loop) {
    TRY(loop.add(socket_.fd(), EPOLLIN | EPOLLRDHUP, [this](uint32_t) { on_message(); }));
    const auto timed = loop.add(timer_.get(), EPOLLIN, [this](uint32_t) { on_timer(); });
    if (!timed) {
        loop.remove(socket_.fd());
        return std::unexpected(timed.error());
    }
    loop_ = &loop;
    return {};
}

void VhostUserBlock::unwatch() {
    EventLoop* const loop = std::exchange(loop_, nullptr);
    if (loop == nullptr) return;
    set_timer(milliseconds(0));
    loop->remove(timer_.get());
    loop->remove(socket_.fd());
}

/// 0: never.
void VhostUserBlock::set_timer(milliseconds after) const {
    itimerspec timer{};
    timer.it_value.tv_sec = after.count() / 1000;
    timer.it_value.tv_nsec = after.count() % 1000 * 1'000'000;
    ::timerfd_settime(timer_.get(), 0, &timer, nullptr);
}

void VhostUserBlock::on_message() {
    const auto complete = socket_.receive();
    if (!complete)
        fail_device(complete.error().message);
    else if (*complete)
        on_stopped();
}

void VhostUserBlock::on_timer() {
    if (ring_ == Ring::settling)
        settle();
    else if (ring_ == Ring::stopping)  // or it came together with the answer
        fail_device("does not stop serving the disk in time");
}

void VhostUserBlock::on_stopped() {
    const auto state = from_bytes<VringState>(socket_.payload());
    if (state.index != 0 || state.number > std::numeric_limits<uint16_t>::max())
        return fail_device("stops at a place that no ring has");
    set_timer(milliseconds(0));
    base_ = static_cast<uint16_t>(state.number);
    ring_ = Ring::stopped;
    if (std::exchange(resumed_, false)) return go_on();
    if (const auto done = std::exchange(on_drained_, {})) done();
}

void VhostUserBlock::lose(std::string_view what) {
    lost_ = blame(what) + "; the disk is gone for this machine, start it anew";
    unwatch();
    socket_.close();
    ring_ = Ring::none;
}

void VhostUserBlock::fail_device(std::string_view what) {
    lose(what);
    interrupt_->needs_reset(lost_);
    if (const auto done = std::exchange(on_drained_, {})) done();
}

}  // namespace mote
