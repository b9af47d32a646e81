#include "devices/virtio/memory.h"

#include <algorithm>
#include <utility>

namespace mote {

using namespace virtio;

std::unique_ptr<MemoryDevice> MemoryDevice::create(const MemoryDeviceConfig& config,
                                                   const GuestMemory& memory,
                                                   std::unique_ptr<MemorySlots> slots) {
    return std::unique_ptr<MemoryDevice>(new MemoryDevice(config, memory, std::move(slots)));
}

MemoryDevice::MemoryDevice(const MemoryDeviceConfig& config, const GuestMemory& memory,
                           std::unique_ptr<MemorySlots> slots)
    : memory_(memory),
      region_(*memory.hotplug_region()),
      blocks_(*region_.blocks),
      slots_(std::move(slots)),
      slot_size_(config.slot_size),
      usable_unit_(config.usable_unit),
      shown_(region_.config.size / config.slot_size) {
    space_.block_size = blocks_.block_size();
    space_.addr = region_.config.base.value;
    space_.region_size = region_.config.size;
    space_.requested_size = config.requested_size;
    space_.usable_region_size = usable_for(config.requested_size);
}

uint64_t MemoryDevice::features() const {
    return kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect | kMemoryUnpluggedInaccessible;
}

// No larger than it must be: a guest reaches whole slots, and so no more than this, however little
// it has plugged.
uint64_t MemoryDevice::usable_for(uint64_t requested) const {
    const uint64_t units = (requested + usable_unit_ - 1) / usable_unit_;
    return std::min<uint64_t>(units * usable_unit_, space_.region_size);
}

Result<> MemoryDevice::activate(const Activation& activation) {
    // 5.15.5.2: a device need not serve a driver that may read what is not plugged.
    if ((activation.features & kMemoryUnpluggedInaccessible) == 0)
        return fail(
            "the driver may read memory that is not plugged; the guest's kernel is too old, Linux "
            "5.16 would do");
    queue_ = activation.queues[0];
    interrupt_ = &activation.interrupt;
    loop_ = &activation.loop;
    return {};
}

void MemoryDevice::reset() {
    work_.reset();
    queue_ = nullptr;
    draining_ = false;
    on_drained_ = {};
}

void MemoryDevice::drain(std::function<void()> done) {
    draining_ = true;
    if (!work_) return done();
    if (!std::exchange(on_drained_, std::move(done))) loop_->post([this] { finish_for_drain(); });
}

void MemoryDevice::resume() {
    draining_ = false;
    on_drained_ = {};
}

void MemoryDevice::finish_for_drain() {
    if (!on_drained_) return;
    if (work_ && !step()) return loop_->post([this] { finish_for_drain(); });
    publish();
    std::exchange(on_drained_, {})();
}

Result<> MemoryDevice::update(uint64_t size) {
    if (queue_ == nullptr) return fail("memory: the guest's driver is not active");
    if (size % space_.block_size != 0 || size > space_.region_size)
        return fail("memory: {} bytes are not possible; give multiples of {} up to {}", size,
                    blocks_.block_size(), region_.config.size);
    space_.requested_size = size;
    space_.usable_region_size = std::max<uint64_t>(space_.usable_region_size, usable_for(size));
    return {};
}

// --- Requests (5.15.6) ---------------------------------------------------------------------------

bool MemoryDevice::on_queue(uint16_t /*index*/) {
    if (draining_) return false;
    unsigned turns = kMaxRequestsPerTurn;
    do {
        while (turns != 0) {
            // What a step costs is enough for one turn.
            if (work_) {
                step();
                publish();
                return true;
            }
            auto chain = queue_->pop();
            if (!chain) break;
            --turns;
            handle(*std::move(chain));
        }
        publish();
        if (turns == 0) return true;
    } while (queue_->enable_notifications());
    return false;
}

void MemoryDevice::publish() {
    if (queue_->publish()) interrupt_->queue(0);
}

void MemoryDevice::answer(Chain chain, uint16_t type, uint16_t state) {
    const MemoryResponse response{.type = type, .padding = {}, .state = state};
    chain.write(std::as_bytes(std::span(&response, 1)));
    queue_->complete(std::move(chain), sizeof response);
}

void MemoryDevice::handle(Chain chain) {
    MemoryRequest request;
    if (!chain.read(std::as_writable_bytes(std::span(&request, 1))))
        return queue_->reject(std::move(chain), "a memory request that is too short");
    if (chain.writable() < sizeof(MemoryResponse))
        return queue_->reject(std::move(chain), "a memory request without room for its answer");
    if (request.type == kMemoryUnplugAll) return unplug_all(std::move(chain));
    const auto range = range_of(request);
    if (!range) return answer(std::move(chain), kMemoryError);
    const uint16_t state = state_of(*range);
    switch (request.type) {
        case kMemoryPlug:
            if (state != kMemoryUnplugged) return answer(std::move(chain), kMemoryError);
            return plug(std::move(chain), *range);
        case kMemoryUnplug:
            if (state != kMemoryPlugged) return answer(std::move(chain), kMemoryError);
            return unplug(std::move(chain), *range);
        case kMemoryState:
            return answer(std::move(chain), kMemoryAck, state);
        default:
            return answer(std::move(chain), kMemoryError);
    }
}

/// The blocks that a request names; nothing where they are none of the usable part.
std::optional<MemoryDevice::Range> MemoryDevice::range_of(const MemoryRequest& request) const {
    const uint64_t base = space_.addr;
    const uint64_t usable = space_.usable_region_size;
    const uint64_t address = request.addr;
    const uint64_t size = request.blocks * blocks_.block_size();
    if (size == 0 || address < base || (address - base) % blocks_.block_size() != 0) return {};
    const uint64_t begin = address - base;
    if (begin > usable || size > usable - begin) return {};
    return Range{.begin = begin, .end = begin + size};
}

uint16_t MemoryDevice::state_of(const Range& range) const {
    const uint64_t plugged = blocks_.bytes_in(range.begin, range.size());
    return plugged == 0              ? kMemoryUnplugged
           : plugged == range.size() ? kMemoryPlugged
                                     : kMemoryMixed;
}

void MemoryDevice::plug(Chain chain, const Range& range) {
    if (blocks_.bytes() + range.size() > space_.requested_size)
        return answer(std::move(chain), kMemoryNack);
    work_.emplace(Work{.chain = std::move(chain), .plug = true, .whole = range, .left = range});
}

// From here on no request of a device reaches the blocks; then the CPUs do not; then the memory
// goes. Where a slot is left without a block, all of it goes: its CPUs may have touched the rest.
void MemoryDevice::unplug(Chain chain, Range range) {
    set_plugged(range, false);
    const Range first = slot_at(range.begin);
    const Range last = slot_at(range.end - 1);
    if (is_empty(first)) range.begin = first.begin;
    if (is_empty(last)) range.end = last.end;
    work_.emplace(Work{.chain = std::move(chain), .plug = false, .whole = range, .left = range});
}

void MemoryDevice::unplug_all(Chain chain) {
    const Range all{.begin = 0, .end = space_.region_size};
    space_.usable_region_size = usable_for(space_.requested_size);
    set_plugged(all, false);
    work_.emplace(Work{.chain = std::move(chain), .plug = false, .whole = all, .left = all});
}

void MemoryDevice::set_plugged(const Range& range, bool plugged) {
    blocks_.set(range.begin, range.size(), plugged);
    space_.plugged_size = blocks_.bytes();
    interrupt_->refresh_config();
}

// --- Step by step --------------------------------------------------------------------------------

MemoryDevice::Range MemoryDevice::slot_at(uint64_t offset) const {
    const uint64_t begin = offset / slot_size_ * slot_size_;
    return {.begin = begin, .end = begin + slot_size_};
}

bool MemoryDevice::is_empty(const Range& range) const {
    return blocks_.bytes_in(range.begin, range.size()) == 0;
}

bool MemoryDevice::step() {
    if (work_->plug)
        plug_step(*work_);
    else
        unplug_step(*work_);
    if (work_->left.size() != 0) return false;
    Work done = *std::exchange(work_, std::nullopt);
    if (done.plug) set_plugged(done.whole, true);
    answer(std::move(done.chain), done.answer);
    return true;
}

void MemoryDevice::plug_step(Work& work) {
    const uint64_t index = work.left.begin / slot_size_;
    if (!shown_[index]) {
        if (const auto done = slots_->show(index); !done) {
            warn(done.error());
            // Back to where it was: all that was shown for it is hidden again.
            work.plug = false;
            work.answer = kMemoryBusy;
            work.left = {.begin = work.whole.begin, .end = work.left.begin};
            return;
        }
        shown_[index] = true;
    }
    work.left.begin = std::min(work.left.end, slot_at(work.left.begin).end);
}

void MemoryDevice::unplug_step(Work& work) {
    Range& left = work.left;
    for (; left.size() != 0; left.begin = std::min(left.end, slot_at(left.begin).end)) {
        if (left.begin == work.whole.begin || left.begin % slot_size_ == 0)
            work.slot_was_shown = shown_[left.begin / slot_size_];
        if (work.slot_was_shown) break;  // in the others there has been no block
    }
    if (left.size() == 0) return;
    const Range slot = slot_at(left.begin);
    const uint64_t index = left.begin / slot_size_;
    if (shown_[index] && is_empty(slot)) {
        if (const auto done = slots_->hide(index); done)
            shown_[index] = false;
        else
            warn(done.error());
    }
    const uint64_t end = std::min({left.end, slot.end, left.begin + kMaxBytesPerStep});
    discard({.begin = left.begin, .end = end});
    left.begin = end;
}

void MemoryDevice::discard(const Range& range) {
    const std::span bytes = region_.mapping.bytes().subspan(range.begin, range.size());
    if (const auto done = memory_.discard(bytes); !done) warn(done.error());
}

void MemoryDevice::warn(const Error& error) {
    if (log_limiter_.allow()) log_message(LogLevel::warning, "{}: {}", name_, error.message);
}

}  // namespace mote
