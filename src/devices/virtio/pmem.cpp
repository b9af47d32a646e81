#include "devices/virtio/pmem.h"

#include <sys/epoll.h>

#include <utility>

#include "base/errno_text.h"

namespace mote {

using namespace virtio;

Result<std::unique_ptr<PmemDevice>> PmemDevice::create(PmemDeviceConfig config) {
    auto throttle = Throttle::create(config.limits);
    if (!throttle) return fail("{}: {}", config.id, throttle.error().message);
    return std::unique_ptr<PmemDevice>(new PmemDevice(std::move(config), *std::move(throttle)));
}

PmemDevice::PmemDevice(PmemDeviceConfig config, Throttle throttle)
    : id_(std::move(config.id)),
      file_(std::move(config.file), config.kind, false),
      file_bytes_(config.file_bytes),
      read_only_(config.read_only),
      space_{.start = config.start.value, .size = config.size},
      throttle_(std::move(throttle)) {}

uint64_t PmemDevice::features() const {
    return kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect;
}

Result<> PmemDevice::activate(const Activation& activation) {
    queue_ = activation.queues[0];
    interrupt_ = &activation.interrupt;
    pool_ = TRY(DiskPool::create(file_));
    TRY(activation.loop.add(pool_->event(), EPOLLIN | EPOLLET, [this](uint32_t) { on_flushed(); }));
    loop_ = &activation.loop;
    return throttle_.attach(activation.loop, [this] { return on_queue(0); });
}

void PmemDevice::reset() {
    if (loop_ != nullptr) std::exchange(loop_, nullptr)->remove(pool_->event());
    pool_.reset();
    throttle_.detach();
    flushing_.clear();
    waiting_.clear();
    queue_ = nullptr;
    draining_ = false;
    on_drained_ = {};
}

void PmemDevice::drain(std::function<void()> done) {
    draining_ = true;
    if (flushing_.empty()) return done();
    on_drained_ = std::move(done);
}

bool PmemDevice::on_queue(uint16_t /*index*/) {
    if (draining_ || throttle_.held_up()) return false;
    unsigned turns = kMaxRequestsPerTurn;
    do {
        for (; turns != 0; --turns) {
            auto chain = queue_->pop();
            if (!chain) break;
            if (!throttle_.allow(file_bytes_)) {
                queue_->put_back(*std::move(chain));
                break;
            }
            begin(*std::move(chain));
        }
        publish();
        if (turns == 0) return true;
        if (throttle_.held_up()) return false;
    } while (queue_->enable_notifications());
    return false;
}

void PmemDevice::begin(Chain chain) {
    le32 type;
    if (!chain.read(std::as_writable_bytes(std::span(&type, 1))))
        return queue_->reject(std::move(chain), "a pmem request without its type");
    if (chain.writable() < sizeof(le32))
        return queue_->reject(std::move(chain), "a pmem request without room for its answer");
    if (type != kPmemFlush) return finish(std::move(chain), kPmemFailed);
    if (read_only_) return finish(std::move(chain), kPmemDone);
    waiting_.push_back(std::move(chain));
    if (flushing_.empty()) start_flush();
}

// What the guest wrote before it asked is in the file's pages once this begins; what it wrote
// later may not be, which is why a request never joins a flush under way.
void PmemDevice::start_flush() {
    flushing_.swap(waiting_);
    pool_->submit(0, {.op = DiskOp::flush});
    static_cast<void>(pool_->flush());
}

void PmemDevice::on_flushed() {
    pool_->reap([this](uint16_t /*tag*/, int result) {
        if (result != 0 && log_limiter_.allow())
            log_message(LogLevel::warning, "{}: a flush of the guest failed: {}", id_,
                        errno_text(-result));
        for (Chain& chain : flushing_)
            finish(std::move(chain), result == 0 ? kPmemDone : kPmemFailed);
        flushing_.clear();
    });
    if (flushing_.empty() && !waiting_.empty()) start_flush();
    publish();
    if (draining_ && flushing_.empty() && on_drained_) std::exchange(on_drained_, {})();
}

void PmemDevice::finish(Chain chain, uint32_t result) {
    const le32 answer = result;
    chain.write(std::as_bytes(std::span(&answer, 1)));
    queue_->complete(std::move(chain), sizeof answer);
}

void PmemDevice::publish() {
    if (queue_->publish()) interrupt_->queue(0);
}

}  // namespace mote
