#include "devices/virtio/block.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/errno_text.h"

namespace mote {

using namespace virtio;
using Kind = ParsedBlockRequest::Kind;

namespace {

/// Descriptors of a request less header and status.
constexpr uint32_t kSegMax = 254;
constexpr uint32_t kPhysicalBlockSize = 4096;
constexpr uint32_t kMaxRanges = 32;
/// A discard is cheap; zeroes may have to be written (2 GiB, and 64 MiB).
constexpr uint32_t kMaxDiscardSectors = 1U << 22U;
constexpr uint32_t kMaxWriteZeroesSectors = 1U << 17U;

/// A turn's share: after it, the worker's other devices come first.
constexpr unsigned kRequestsPerTurn = 256;
constexpr uint64_t kBytesPerTurn = uint64_t{4} << 20U;
/// Completions that wait for each other while the queue is full: the guest may go on with the first
/// while the rest is served.
constexpr unsigned kPublishEvery = 8;
/// What of a request is no data: header and status.
constexpr uint64_t kRequestOverhead = sizeof(BlockHeader) + 1;

uint64_t offered_features(const BlockConfig& config) {
    uint64_t features = kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect | kBlockSegMax |
                        kBlockBlkSize | kBlockTopology;
    // Without it a driver takes all completed writes for safe, which is what "unsafe" is about.
    if (config.cache != BlockCache::unsafe) features |= kBlockFlush;
    return features | (config.read_only ? kBlockReadOnly : kBlockDiscard | kBlockWriteZeroes);
}

}  // namespace

Result<std::unique_ptr<BlockDevice>> BlockDevice::create(BlockConfig config) {
    auto throttle = Throttle::create(config.limits);
    if (!throttle) return fail("{}: {}", config.id, throttle.error().message);
    return std::unique_ptr<BlockDevice>(new BlockDevice(std::move(config), *std::move(throttle)));
}

BlockDevice::BlockDevice(BlockConfig config, Throttle throttle)
    : id_(std::move(config.id)),
      cache_(config.cache),
      engine_(config.engine),
      features_(offered_features(config)),
      throttle_(std::move(throttle)) {
    disk_ = make_disk(std::move(config.file), config.kind);
    limits_ = {.sectors = 0,
               .read_only = config.read_only,
               .max_ranges = kMaxRanges,
               .max_discard_sectors = kMaxDiscardSectors,
               .max_write_zeroes_sectors = kMaxWriteZeroesSectors};
    fill_config_space();
    set_size(config.size_bytes);
}

std::unique_ptr<Disk> BlockDevice::make_disk(UniqueFd file, DiskFile::Kind kind) {
    return std::make_unique<Disk>(
        DiskFile(std::move(file), kind, cache_ == BlockCache::direct), engine_, kQueueSizes[0],
        [this](uint16_t tag, int result) { on_disk_result(tag, result); });
}

void BlockDevice::set_size(uint64_t bytes) {
    const uint64_t block_size = space_.blk_size;
    limits_.sectors = bytes / block_size * block_size / kSectorSize;
    space_.capacity = limits_.sectors;
}

void BlockDevice::fill_config_space() {
    const uint32_t block_size = disk_->block_size();
    space_.seg_max = kSegMax;
    space_.blk_size = block_size;
    space_.physical_block_exp =
        static_cast<uint8_t>(std::countr_zero(kPhysicalBlockSize / block_size));
    space_.num_queues = uint16_t{1};
    if (limits_.read_only) return;
    space_.max_discard_sectors = limits_.max_discard_sectors;
    space_.max_discard_seg = limits_.max_ranges;
    space_.discard_sector_alignment = kPhysicalBlockSize / static_cast<uint32_t>(kSectorSize);
    space_.max_write_zeroes_sectors = limits_.max_write_zeroes_sectors;
    space_.max_write_zeroes_seg = limits_.max_ranges;
    space_.write_zeroes_may_unmap = 1;
}

Result<> BlockDevice::activate(const Activation& activation) {
    queue_ = activation.queues[0];
    interrupt_ = &activation.interrupt;
    loop_ = &activation.loop;
    // 5.2.6.2: a driver that does not take FLUSH knows no cache: what it has written is safe.
    write_through_ = (features_ & kBlockFlush) != 0 && (activation.features & kBlockFlush) == 0;
    if (queue_ != nullptr) slots_.resize(queue_->size());
    disk_->attach(*loop_, [this] { on_disk_ready(); });
    return throttle_.attach(*loop_, [this] { return on_queue(0); });
}

void BlockDevice::reset() {
    disk_->wait_idle();
    for (const auto& disk : retired_)
        disk->wait_idle();
    throttle_.detach();
    slots_.clear();
    queue_ = nullptr;
    unpublished_ = 0;
    draining_ = false;
    on_drained_ = {};
}

void BlockDevice::drain(std::function<void()> done) {
    draining_ = true;
    if (in_flight() == 0) return done();
    on_drained_ = std::move(done);
}

// --- The queue -----------------------------------------------------------------------------------

bool BlockDevice::on_queue(uint16_t index) {
    static_cast<void>(index);
    if (draining_ || throttle_.held_up()) return false;
    poll_.woken();
    turn_ = {};
    queue_->disable_notifications();
    for (;;) {
        const bool more = serve_available();
        if (disk_->ready()) disk_->reap();
        disk_->flush();
        publish();
        if (more) return true;
        if (throttle_.held_up()) return false;
        const auto found = [this] { return queue_->has_work() || disk_->ready(); };
        if (poll_.look(found, [this] { return loop_->others_wait(); })) continue;
        // Completions are published before notifications are asked for: a driver that waits for
        // one sends the next request while we still look.
        if (!queue_->enable_notifications()) return false;
        queue_->disable_notifications();
    }
}

bool BlockDevice::serve_available() {
    while (turn_.requests < kRequestsPerTurn && turn_.bytes < kBytesPerTurn) {
        auto chain = queue_->pop();
        if (!chain) return false;
        const uint64_t bytes = chain->readable() + chain->writable();
        if (!throttle_.allow(bytes - std::min(bytes, kRequestOverhead))) {
            queue_->put_back(*std::move(chain));
            return false;
        }
        ++turn_.requests;
        turn_.bytes += bytes;
        begin(*std::move(chain));
        if (unpublished_ >= kPublishEvery) publish();
    }
    return true;
}

void BlockDevice::publish() {
    unpublished_ = 0;
    if (queue_->publish()) interrupt_->queue(0);
}

// --- A request -----------------------------------------------------------------------------------

void BlockDevice::begin(Chain chain) {
    const uint16_t tag = chain.head();
    Slot& slot = slots_[tag];
    slot.status = chain.take_last_writable();
    if (slot.status == nullptr)
        return queue_->reject(std::move(chain), "a block request without room for its status");
    const ParsedBlockRequest parsed = parse_block_request(chain, limits_, slot.ranges);
    if (parsed.kind == Kind::malformed)
        return queue_->reject(std::move(chain), "a block request without a whole header");
    slot.chain.emplace(std::move(chain));
    switch (parsed.kind) {
        case Kind::disk:
            return begin_disk(slot, tag, parsed.request);
        case Kind::get_id:
            return answer_id(slot);
        case Kind::refused:
        case Kind::malformed:
            return finish(slot, parsed.status, 0);
    }
}

void BlockDevice::begin_disk(Slot& slot, uint16_t tag, const DiskRequest& request) {
    slot.op = request.op;
    slot.data_written = request.op == DiskOp::read ? static_cast<uint32_t>(request.length) : 0;
    const bool needless = cache_ == BlockCache::unsafe || limits_.read_only;
    if (request.op == DiskOp::flush && needless) return finish(slot, kBlockOk, 0);
    DiskRequest wanted = request;
    wanted.durable = write_through_ && request.op != DiskOp::read;
    // A flush covers the writes completed before it: those are in the file when it starts.
    if (const auto result = disk_->start(tag, wanted)) on_disk_result(tag, *result);
}

void BlockDevice::answer_id(Slot& slot) {
    std::array<char, kBlockIdSize> id{};
    std::memcpy(id.data(), id_.data(), std::min(id.size(), id_.size()));
    const bool room = slot.chain->write(std::as_bytes(std::span(id)));
    finish(slot, room ? kBlockOk : kBlockIoError, room ? kBlockIdSize : 0);
}

void BlockDevice::on_disk_result(uint16_t tag, int result) {
    Slot& slot = slots_[tag];
    if (result != 0) report_failure(slot.op, result);
    finish(slot, result == 0 ? kBlockOk : kBlockIoError, result == 0 ? slot.data_written : 0);
}

void BlockDevice::finish(Slot& slot, uint8_t status, uint32_t data_written) {
    *slot.status = std::byte{status};
    Chain chain = *std::move(slot.chain);
    slot.chain.reset();
    queue_->complete(std::move(chain), data_written + 1);
    ++unpublished_;
}

void BlockDevice::on_disk_ready() {
    disk_->reap();
    reap_retired();
    if (queue_ == nullptr) return;
    publish();
    if (draining_ && in_flight() == 0 && on_drained_) std::exchange(on_drained_, {})();
}

// --- Another file --------------------------------------------------------------------------------

Result<> BlockDevice::update(BlockUpdate update) {
    std::unique_ptr<Disk> disk;
    if (update.backing) {
        disk = make_disk(std::move(update.backing->file), update.backing->kind);
        if (disk->block_size() > space_.blk_size)
            return fail("{}: the new file has blocks of {} bytes, the guest knows {}; give another",
                        id_, disk->block_size(), static_cast<uint32_t>(space_.blk_size));
    }
    if (update.limits.ops || update.limits.bytes) {
        const auto limited = throttle_.update(update.limits);
        if (!limited) return fail("{}: {}", id_, limited.error().message);
    }
    if (disk) {
        replace_disk(std::move(disk));
        set_size(update.backing->size_bytes);
    } else if (update.size_bytes) {
        set_size(*update.size_bytes);
    }
    return {};
}

void BlockDevice::replace_disk(std::unique_ptr<Disk> disk) {
    if (loop_ == nullptr) {
        disk_ = std::move(disk);
        return;
    }
    disk->attach(*loop_, [this] { on_disk_ready(); });
    disk_->flush();  // what was taken on and not yet handed over
    retired_.push_back(std::exchange(disk_, std::move(disk)));
    on_disk_ready();
}

void BlockDevice::reap_retired() {
    for (auto& disk : retired_) {
        disk->reap();
        // It may have called us: it goes once that, and all that it has posted, is over.
        if (disk->in_flight() == 0) loop_->post([old = std::shared_ptr(std::move(disk))] {});
    }
    std::erase(retired_, nullptr);
}

unsigned BlockDevice::in_flight() const {
    unsigned total = disk_->in_flight();
    for (const auto& disk : retired_)
        total += disk->in_flight();
    return total;
}

void BlockDevice::report_failure(DiskOp op, int result) {
    static constexpr std::array<std::string_view, 5> kNames{"read", "write", "flush", "discard",
                                                            "write-zeroes"};
    if (log_limiter_.allow())
        log_message(LogLevel::warning, "{}: a {} of the guest failed: {}", id_,
                    kNames[static_cast<size_t>(op)], errno_text(-result));
}

}  // namespace mote
