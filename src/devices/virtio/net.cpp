#include "devices/virtio/net.h"

#include <sys/epoll.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "base/errno_text.h"

namespace mote {

using namespace virtio;

namespace {

/// A turn's share: after it, the worker's other devices come first.
constexpr unsigned kFramesPerTurn = 256;
constexpr uint64_t kBytesPerTurn = uint64_t{4} << 20U;
/// Frames that wait for each other while more come: the guest may go on with the first.
constexpr unsigned kPublishEvery = 16;
/// So many bytes do not wait: buffers that come back soon are still in the caches when they are
/// used again.
constexpr uint64_t kPublishBytes = uint64_t{64} << 10U;

/// Copies what lies behind `offset` in `parts`, as much as there is and fits; returns how much.
size_t copy_from(std::span<const iovec> parts, size_t offset, std::span<std::byte> out) {
    size_t done = 0;
    for (const iovec& part : parts) {
        if (offset >= part.iov_len) {
            offset -= part.iov_len;
            continue;
        }
        const size_t here = std::min(part.iov_len - offset, out.size() - done);
        std::memcpy(out.data() + done, static_cast<const std::byte*>(part.iov_base) + offset, here);
        done += here;
        offset = 0;
        if (done == out.size()) break;
    }
    return done;
}

}  // namespace

bool NetDevice::Turn::over() const {
    return frames >= kFramesPerTurn || bytes >= kBytesPerTurn;
}

Result<std::unique_ptr<NetDevice>> NetDevice::create(NetConfig config) {
    auto receive = Throttle::create(config.receive_limits);
    if (!receive) return fail("{}: {}", config.id, receive.error().message);
    auto send = Throttle::create(config.send_limits);
    if (!send) return fail("{}: {}", config.id, send.error().message);
    return std::unique_ptr<NetDevice>(
        new NetDevice(std::move(config), *std::move(receive), *std::move(send)));
}

NetDevice::NetDevice(NetConfig config, Throttle receive_throttle, Throttle send_throttle)
    : id_(std::move(config.id)),
      backend_(std::move(config.backend)),
      filter_(config.filter),
      features_(kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect | kNetMergeable |
                backend_->offloads()),
      receive_throttle_(std::move(receive_throttle)),
      send_throttle_(std::move(send_throttle)) {
    if (config.mac) {
        features_ |= kNetMac;
        space_.mac = *config.mac;
    }
    if (config.mtu) {
        features_ |= kNetMtu;
        space_.mtu = *config.mtu;
    }
}

Result<> NetDevice::activate(const Activation& activation) {
    interrupt_ = &activation.interrupt;
    loop_ = &activation.loop;
    receive_queue_ = activation.queues[kNetReceive];
    send_queue_ = activation.queues[kNetTransmit];
    mergeable_ = (activation.features & kNetMergeable) != 0;
    host_frame_.bytes.resize(kMaxFrame);
    if (filter_ != nullptr) answer_.bytes.resize(kMaxFrame);
    TRY(receive_throttle_.attach(*loop_, [this] { return on_queue(kNetReceive); }));
    TRY(send_throttle_.attach(*loop_, [this] { return on_queue(kNetTransmit); }));
    if (receive_queue_ != nullptr) {
        buffers_.emplace(*receive_queue_, mergeable_);
        receive_queue_->disable_notifications();
    }
    if (gone_) return {};
    const Result<> set = backend_->set_offloads(activation.features);
    if (!set && set.error().code == -NetBackend::kGone) {
        lose_backend();
        return {};
    }
    TRY(set);
    return watch_backend();
}

Result<> NetDevice::watch_backend() {
    TRY(loop_->add(backend_->fd(), EPOLLIN | EPOLLET,
                   [this](uint32_t events) { on_backend(events); }));
    watched_ = true;
    return {};
}

Result<> NetDevice::update_limits(const RateLimitsUpdate& receive, const RateLimitsUpdate& send) {
    for (const auto& [throttle, update] :
         {std::pair(&receive_throttle_, &receive), std::pair(&send_throttle_, &send)}) {
        const auto done = throttle->update(*update);
        if (!done) return fail("{}: {}", id_, done.error().message);
    }
    return {};
}

void NetDevice::drain(std::function<void()> done) {
    // Nobody but this thread touches the chains that are held.
    paused_ = true;
    done();
}

void NetDevice::reset() {
    if (std::exchange(watched_, false)) loop_->remove(backend_->fd());
    // Without a driver, nothing is offloaded to it; what the next one does not know must not wait.
    if (!gone_) static_cast<void>(backend_->set_offloads(0).has_value());
    receive_throttle_.detach();
    send_throttle_.detach();
    buffers_.reset();
    sending_.reset();
    receive_queue_ = send_queue_ = nullptr;
    paused_ = readable_ = full_ = sending_allowed_ = false;
    host_frame_.size = answer_.size = 0;
    received_ = sent_ = 0;
    received_bytes_ = sent_bytes_ = 0;
}

// --- The host's end ------------------------------------------------------------------------------

void NetDevice::on_backend(uint32_t events) {
    if ((events & ~uint32_t{EPOLLOUT}) != 0) readable_ = true;
    const bool room = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && full_;
    if (room) {
        full_ = false;
        static_cast<void>(loop_->modify(backend_->fd(), EPOLLIN | EPOLLET).has_value());
    }
    if (paused_) return;
    if (receive_turn()) serve_again(kNetReceive);
    if (room && send_turn()) serve_again(kNetTransmit);
}

// Once, however often it is asked for meanwhile: each event of a flood would else add a turn to
// every round of the loop.
void NetDevice::serve_again(uint16_t index) {
    if (std::exchange(again_[index], true)) return;
    loop_->post([this, index] {
        again_[index] = false;
        if (on_queue(index)) serve_again(index);
    });
}

void NetDevice::lose_backend() {
    if (std::exchange(gone_, true)) return;
    if (std::exchange(watched_, false)) loop_->remove(backend_->fd());
    readable_ = full_ = false;
    log_message(LogLevel::warning,
                "{}: the host's end is gone: the TAP was deleted, or passt has ended; the guest's "
                "link is dead",
                id_);
}

void NetDevice::note(std::string_view what, ssize_t result) {
    if (log_limiter_.allow())
        log_message(LogLevel::info, "{}: {}: {}", id_, what, errno_text(static_cast<int>(-result)));
}

bool NetDevice::on_queue(uint16_t index) {
    if (paused_) return false;
    if (index == kNetReceive) return receive_turn();
    // Also a guest that only sends moves on a frame that was held for too long.
    if ((host_frame_.size != 0 || answer_.size != 0) && receive_turn()) serve_again(kNetReceive);
    return send_turn();
}

// --- Receiving -----------------------------------------------------------------------------------

bool NetDevice::receive_turn() {
    if (receive_queue_ == nullptr || receive_queue_->broken()) return false;
    Turn turn;
    while (!turn.over()) {
        const Step step = receive_frame(turn);
        if (step == Step::frame) {
            if (received_ >= kPublishEvery || received_bytes_ >= kPublishBytes) publish_received();
            continue;
        }
        publish_received();
        // Out of buffers: the one case in which the driver is to notify.
        if (step == Step::idle || !receive_queue_->enable_notifications()) return false;
        receive_queue_->disable_notifications();
    }
    publish_received();
    return true;
}

NetDevice::Step NetDevice::receive_frame(Turn& turn) {
    buffers_->gather(kMaxFrame);
    if (answer_.size != 0 || hold_answer()) return give_held(answer_, turn);
    if (receive_throttle_.held_up()) return Step::idle;
    if (host_frame_.size != 0) return give_held(host_frame_, turn);
    if (!readable_) return Step::idle;
    const auto parts = buffers_->parts();
    if (parts.empty()) return Step::blocked;
    // What does not fit the host's call is lost, so with fewer buffers it goes through our own; and
    // with a limit, which asks for a size.
    if (!receive_throttle_.unlimited() ||
        (mergeable_ && (buffers_->room() < kMaxFrame || parts.size() > IOV_MAX)))
        return receive_held(turn);
    size_t size = 0;
    if (!read_backend(parts.first(std::min<size_t>(parts.size(), IOV_MAX)), size))
        return Step::idle;
    ++turn.frames;
    turn.bytes += size;
    if (size > buffers_->room()) {
        ++counters_.receive_dropped;
        return Step::frame;
    }
    buffers_->give(size);
    ++received_;
    received_bytes_ += size;
    ++counters_.received;
    return Step::frame;
}

/// A frame of the host's by way of host_frame_.
NetDevice::Step NetDevice::receive_held(Turn& turn) {
    const iovec all{.iov_base = host_frame_.bytes.data(), .iov_len = host_frame_.bytes.size()};
    if (!read_backend({&all, 1}, host_frame_.size)) return Step::idle;
    host_frame_.allowed = false;
    return give_held(host_frame_, turn);
}

NetDevice::Step NetDevice::give_held(Held& held, Turn& turn) {
    if (!held.allowed) {
        if (!receive_throttle_.allow(held.size - sizeof(NetHeader))) return Step::idle;
        held.allowed = true;
        held.since_ns = AdaptivePoll::monotonic_ns();
    }
    if (buffers_->room() >= held.size) {
        buffers_->put(std::span(held.bytes).first(held.size));
        ++received_;
        received_bytes_ += held.size;
        ++counters_.received;
    } else {
        // The driver may be about to bring more; one that never has enough loses the frame.
        const bool never = !mergeable_ && buffers_->room() != 0;
        if (!never && AdaptivePoll::monotonic_ns() - held.since_ns < kMaxHoldNs)
            return Step::blocked;
        ++counters_.receive_dropped;
    }
    ++turn.frames;
    turn.bytes += std::exchange(held.size, 0);
    return Step::frame;
}

/// A frame of the filter's for the guest, if there is one, into answer_.
bool NetDevice::hold_answer() {
    if (filter_ == nullptr) return false;
    const size_t size = filter_->next(std::span(answer_.bytes).subspan(sizeof(NetHeader)));
    if (size == 0) return false;
    std::memset(answer_.bytes.data(), 0, sizeof(NetHeader));
    answer_.size = sizeof(NetHeader) + size;
    answer_.since_ns = AdaptivePoll::monotonic_ns();
    answer_.allowed = true;
    return true;
}

/// The next frame of the host's; false where there is none now.
bool NetDevice::read_backend(std::span<const iovec> parts, size_t& size) {
    const ssize_t got = backend_->receive(parts);
    if (got >= static_cast<ssize_t>(sizeof(NetHeader))) {
        size = static_cast<size_t>(got);
        return true;
    }
    // Whatever it is: the next edge of the host's end is when to look again.
    readable_ = false;
    if (got == NetBackend::kGone)
        lose_backend();
    else if (got != -EAGAIN)
        note("receiving failed", got);
    return false;
}

void NetDevice::publish_received() {
    received_ = 0;
    received_bytes_ = 0;
    if (receive_queue_->publish()) interrupt_->queue(kNetReceive);
}

// --- Sending -------------------------------------------------------------------------------------

bool NetDevice::send_turn() {
    if (send_queue_ == nullptr) return false;
    poll_.woken();
    Turn turn;
    send_queue_->disable_notifications();
    for (;;) {
        const bool more = send_available(turn);
        publish_sent();
        if (!full_ && !gone_ && !backend_->flush()) wait_for_room();
        // With notifications off: room at the host's end, or the limit's timer, is what wakes us.
        if (full_ || send_throttle_.held_up()) return false;
        if (filter_ != nullptr && receive_turn()) serve_again(kNetReceive);
        if (more) return true;
        const auto found = [this] { return send_queue_->has_work(); };
        if (poll_.look(found, [this] { return loop_->others_wait(); })) continue;
        if (!send_queue_->enable_notifications()) return false;
        send_queue_->disable_notifications();
    }
}

/// Sends until nothing is left, the host's end is full or a limit reached (false), or the turn is
/// over (true).
bool NetDevice::send_available(Turn& turn) {
    while (!turn.over()) {
        if (send_throttle_.held_up()) return false;
        if (!sending_) sending_ = send_queue_->pop();
        if (!sending_) return false;
        ++turn.frames;
        turn.bytes += sending_->readable();
        if (send_frame() == Step::blocked) return false;
        if (sent_ >= kPublishEvery || sent_bytes_ >= kPublishBytes) publish_sent();
    }
    return true;
}

/// `sending_`: out it goes, or not at all; Step::blocked where it has to wait.
NetDevice::Step NetDevice::send_frame() {
    Chain& chain = *sending_;
    const auto finish = [this](uint64_t& counter) {
        ++counter;
        ++sent_;
        sent_bytes_ += sending_->readable();
        sending_allowed_ = false;
        send_queue_->complete(*std::exchange(sending_, std::nullopt), 0);
        return Step::frame;
    };
    if (chain.writable() != 0 || chain.readable() < sizeof(NetHeader)) {
        send_queue_->reject(*std::exchange(sending_, std::nullopt),
                            "a frame to send is not readable, or has no whole header");
        return Step::idle;
    }
    if (gone_ || chain.readable() > kMaxFrame) return finish(counters_.send_dropped);
    if (!sending_allowed_) {
        if (filter_ != nullptr && filter_takes(chain)) return finish(counters_.filtered);
        sending_allowed_ = send_throttle_.allow(chain.readable() - sizeof(NetHeader));
        if (!sending_allowed_) return Step::blocked;
    }
    const ssize_t done = backend_->send(chain.readable_parts());
    if (done >= 0) return finish(counters_.sent);
    if (done == -EAGAIN) {
        wait_for_room();
        if (full_) return Step::blocked;
    } else if (done == NetBackend::kGone) {
        lose_backend();
    } else if (done != -EIO) {  // a TAP that is down: nobody's fault, and every frame's fate
        note("the host refuses a frame", done);
    }
    return finish(counters_.send_dropped);
}

void NetDevice::wait_for_room() {
    // Changing the watch also looks whether there is room by now: no edge is missed.
    full_ = loop_->modify(backend_->fd(), EPOLLIN | EPOLLOUT | EPOLLET).has_value();
}

bool NetDevice::filter_takes(const Chain& chain) {
    std::array<std::byte, FrameFilter::kHead> head;
    const size_t seen = copy_from(chain.readable_parts(), sizeof(NetHeader), head);
    if (!filter_->wants(std::span(head).first(seen))) return false;
    std::vector<std::byte> frame(chain.readable() - sizeof(NetHeader));
    copy_from(chain.readable_parts(), sizeof(NetHeader), frame);
    filter_->take(frame);
    return true;
}

void NetDevice::publish_sent() {
    sent_ = 0;
    sent_bytes_ = 0;
    if (send_queue_->publish()) interrupt_->queue(kNetTransmit);
}

}  // namespace mote
