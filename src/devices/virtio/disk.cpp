#include "devices/virtio/disk.h"

#include <sys/epoll.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "devices/virtio/disk_pool.h"
#include "devices/virtio/disk_ring.h"

namespace mote {

namespace {

/// Copying more than this on the worker's thread would let its other devices wait too long.
constexpr uint64_t kMaxInline = uint64_t{1} << 20U;

constexpr std::chrono::milliseconds kRetryAfter{1};

bool ring_can(DiskOp op) {
    return op == DiskOp::read || op == DiskOp::write || op == DiskOp::flush;
}

}  // namespace

Disk::Disk(DiskFile file, DiskEngineChoice choice, uint16_t depth, OnComplete completed)
    : file_(std::move(file)),
      choice_(choice),
      depth_(depth),
      completed_(std::move(completed)),
      ring_failed_(choice == DiskEngineChoice::pool) {}

Disk::~Disk() {
    for (const DiskEngine* const engine : {ring_.get(), pool_.get()})
        if (engine != nullptr) loop_->remove(engine->event());
}

void Disk::attach(EventLoop& loop, std::function<void()> wake) {
    loop_ = &loop;
    wake_ = std::move(wake);
    requests_.resize(depth_);
}

std::optional<int> Disk::start(uint16_t tag, const DiskRequest& request) {
    if (choice_ == DiskEngineChoice::automatic && request.length <= kMaxInline)
        if (const auto result = file_.try_now(request)) return result;
    requests_[tag] = request;
    ++in_flight_;
    take_on(tag, request);
    return std::nullopt;
}

void Disk::take_on(uint16_t tag, const DiskRequest& request) {
    DiskEngine* engine = ring_can(request.op) ? ring() : nullptr;
    if (engine == nullptr) engine = pool();
    if (engine == nullptr) return fail_later(tag, -ENOMEM);
    engine->submit(tag, request);
}

// A host out of descriptors or memory: the request fails, on the loop's next turn.
void Disk::fail_later(uint16_t tag, int result) {
    failures_.push_back({tag, result});
    loop_->post([this] { wake_(); });
}

DiskEngine* Disk::ring() {
    if (ring_ || ring_failed_) return ring_.get();
    auto ring = DiskRing::create(file_, depth_);
    if (ring) {
        ring_ = *std::move(ring);
        watch(*ring_);
    } else {
        ring_failed_ = true;
        log_message(LogLevel::info, "{}: disks use threads instead", ring.error().message);
    }
    return ring_.get();
}

DiskEngine* Disk::pool() {
    if (!pool_) {
        auto pool = DiskPool::create(file_);
        if (!pool) return nullptr;
        pool_ = *std::move(pool);
        watch(*pool_);
    }
    return pool_.get();
}

// An engine that cannot be watched is still looked at with every notification of the guest.
void Disk::watch(DiskEngine& engine) {
    const auto added = loop_->add(engine.event(), EPOLLIN | EPOLLET, [this](uint32_t) { wake_(); });
    if (!added) log_message(LogLevel::error, "{}", added.error().message);
}

void Disk::flush() {
    if (!ring_ || ring_->flush() || retrying_) return;
    // The host has no memory for it: again in a while.
    retrying_ = true;
    loop_->post([this] {
        std::this_thread::sleep_for(kRetryAfter);
        retrying_ = false;
        wake_();
    });
}

bool Disk::ready() const {
    return (ring_ && ring_->ready()) || (pool_ && pool_->ready()) || !failures_.empty();
}

void Disk::reap() {
    if (ring_)
        ring_->reap([this](uint16_t tag, int result) {
            DiskEngine* const patient = result == DiskRing::kTakeOver ? pool() : nullptr;
            if (patient != nullptr)
                patient->submit(tag, requests_[tag]);
            else
                complete(tag, result == DiskRing::kTakeOver ? -ENOMEM : result);
        });
    if (pool_) pool_->reap([this](uint16_t tag, int result) { complete(tag, result); });
    for (const Failure& failure : std::exchange(failures_, {}))
        complete(failure.tag, failure.result);
    flush();
}

void Disk::complete(uint16_t tag, int result) {
    --in_flight_;
    completed_(tag, result);
}

void Disk::wait_idle() {
    while (in_flight_ != 0) {
        reap();
        // Only a transport that is destroyed comes here; it is in no hurry.
        if (in_flight_ != 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
}

}  // namespace mote
