#include "devices/virtio/balloon.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "devices/virtio/balloon_pages.h"

namespace mote {

using namespace virtio;

namespace {

constexpr uint16_t kQueueSize = 256;
/// A turn's share: after it, the worker's other devices come first. A call takes some microseconds,
/// and as long again as there is memory behind it.
constexpr unsigned kCallsPerTurn = 512;
constexpr uint64_t kBytesPerTurn = uint64_t{64} << 20U;
/// Entries of one statistics report that are looked at.
constexpr size_t kMaxStats = 64;

}  // namespace

Result<std::unique_ptr<BalloonDevice>> BalloonDevice::create(const BalloonConfig& config,
                                                             const GuestMemory& memory) {
    if (config.target_pages > memory.size() / kBalloonPageSize)
        return fail("balloon: {} pages are more than the guest's memory", config.target_pages);
    UniqueFd timer;
    if (config.statistics_interval_s != 0) {
        timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
        if (!timer.valid()) return fail_errno("balloon: cannot create a timer");
    }
    return std::unique_ptr<BalloonDevice>(new BalloonDevice(config, memory, std::move(timer)));
}

BalloonDevice::BalloonDevice(const BalloonConfig& config, const GuestMemory& memory, UniqueFd timer)
    : memory_(memory),
      offered_(config),
      timer_(std::move(timer)),
      statistics_interval_s_(config.statistics_interval_s) {
    space_.num_pages = config.target_pages;
    add_queue(Role::inflate);
    add_queue(Role::deflate);
    // A queue that does not exist takes no index: Linux and other monitors count so, whatever the
    // list in 5.5.2 seems to say.
    if (config.statistics_interval_s != 0) add_queue(Role::statistics);
    if (config.hinting) add_queue(Role::hinting);
    if (config.reporting) add_queue(Role::reporting);
}

void BalloonDevice::add_queue(Role role) {
    roles_.push_back(role);
    queue_sizes_.push_back(kQueueSize);
}

uint64_t BalloonDevice::features() const {
    uint64_t features = kFeatureVersion1 | kFeatureEventIndex;
    if (offered_.deflate_on_oom) features |= kBalloonDeflateOnOom;
    if (offered_.statistics_interval_s != 0) features |= kBalloonStatistics;
    if (offered_.hinting) features |= kBalloonHinting;
    if (offered_.reporting) features |= kBalloonReporting;
    return features;
}

Result<> BalloonDevice::activate(const Activation& activation) {
    queues_.assign(activation.queues.begin(), activation.queues.end());
    interrupt_ = &activation.interrupt;
    loop_ = &activation.loop;
    if (!timer_.valid()) return {};
    TRY(loop_->add(timer_.get(), EPOLLIN, [this](uint32_t) {
        uint64_t expirations = 0;
        [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
        ask_for_statistics();
    }));
    set_timer(statistics_interval_s_);
    return {};
}

void BalloonDevice::drain(std::function<void()> done) {
    draining_ = true;
    done();
}

void BalloonDevice::reset() {
    if (timer_.valid() && loop_ != nullptr) {
        set_timer(0);
        loop_->remove(timer_.get());
    }
    held_.reset();
    queues_.clear();
    draining_ = false;
    statistics_ = {};
    guest_command_.reset();
    space_.actual = 0U;
    space_.hinting_cmd_id = kHintingStop;
}

void BalloonDevice::config_write(uint64_t offset, std::span<const std::byte> data) {
    if (offset == offsetof(BalloonConfigSpace, actual) && data.size() == sizeof space_.actual)
        std::memcpy(&space_.actual, data.data(), data.size());
    else if (log_limiter_.allow())
        log_message(LogLevel::info, "{}: ignored a write of {} bytes at {:#x} of its configuration",
                    name_, data.size(), offset);
}

// --- The queues ----------------------------------------------------------------------------------

bool BalloonDevice::on_queue(uint16_t index) {
    Queue& queue = *queues_[index];
    calls_left_ = kCallsPerTurn;
    bytes_left_ = kBytesPerTurn;
    const auto spent = [this] { return calls_left_ == 0 || bytes_left_ == 0; };
    do {
        while (!spent()) {
            auto chain = queue.pop();
            if (!chain) break;
            --calls_left_;
            handle(roles_[index], queue, *std::move(chain));
        }
        if (queue.publish()) interrupt_->queue(index);
        if (spent()) return true;
    } while (queue.enable_notifications());
    return false;
}

void BalloonDevice::handle(Role role, Queue& queue, Chain chain) {
    switch (role) {
        case Role::inflate:
            return inflate(queue, std::move(chain));
        case Role::deflate:
            // Nothing is to be done: a page comes back when the guest touches it.
            return queue.complete(std::move(chain), 0);
        case Role::statistics:
            return take_statistics(queue, std::move(chain));
        case Role::hinting:
            return take_hint(queue, std::move(chain));
        case Role::reporting:
            if (chain.readable() != 0)
                return queue.reject(std::move(chain), "a report of free pages with data to read");
            discard(reported_ranges(chain));
            return queue.complete(std::move(chain), 0);
    }
}

void BalloonDevice::inflate(Queue& queue, Chain chain) {
    if (chain.writable() != 0 || chain.readable() % sizeof(le32) != 0)
        return queue.reject(std::move(chain), "an inflate request that is no list of page numbers");
    const auto ranges = inflated_ranges(memory_, chain);
    if (!ranges) return queue.reject(std::move(chain), ranges.error().message);
    discard(*ranges);
    queue.complete(std::move(chain), 0);
}

void BalloonDevice::discard(std::span<const iovec> ranges) {
    for (const iovec& range : ranges) {
        const std::span bytes(static_cast<std::byte*>(range.iov_base), range.iov_len);
        calls_left_ -= std::min(calls_left_, 1U);
        bytes_left_ -= std::min<uint64_t>(bytes_left_, bytes.size());
        if (const auto done = memory_.discard(bytes); !done && log_limiter_.allow())
            log_message(LogLevel::warning, "{}: {}", name_, done.error().message);
    }
}

// --- Statistics (5.5.6.3) ------------------------------------------------------------------------

// The driver's buffer holds the last report, and stays here until the next one is wanted.
void BalloonDevice::take_statistics(Queue& queue, Chain chain) {
    if (chain.writable() != 0)
        return queue.reject(std::move(chain), "a statistics buffer that is to be written");
    std::array<std::byte, kMaxStats * kBalloonStatBytes> report;
    const size_t size = std::min<uint64_t>(report.size(), chain.readable());
    chain.read(std::span(report).first(size));
    const ParsedStatistics parsed = parse_balloon_statistics(std::span(report).first(size));
    statistics_ = parsed.known;
    if (parsed.unknown_tag && log_limiter_.allow())
        log_message(LogLevel::warning, "{}: unknown stats update tag: {}", name_,
                    *parsed.unknown_tag);
    if (held_) queue.complete(*std::exchange(held_, std::nullopt), 0);
    held_ = std::move(chain);
}

void BalloonDevice::ask_for_statistics() {
    if (draining_ || !held_) return;
    const auto index =
        static_cast<uint16_t>(std::ranges::find(roles_, Role::statistics) - roles_.begin());
    Queue& queue = *queues_[index];
    queue.complete(*std::exchange(held_, std::nullopt), 0);
    if (queue.publish()) interrupt_->queue(index);
}

Result<BalloonStatistics> BalloonDevice::statistics() const {
    if (offered_.statistics_interval_s == 0) return fail("balloon: statistics are off");
    return statistics_;
}

Result<> BalloonDevice::set_statistics_interval(uint16_t seconds) {
    if ((seconds == 0) != (offered_.statistics_interval_s == 0))
        return fail("balloon: statistics cannot be turned on or off while the machine runs");
    statistics_interval_s_ = seconds;
    if (!queues_.empty() && timer_.valid()) set_timer(seconds);
    return {};
}

void BalloonDevice::set_timer(uint16_t seconds) {
    itimerspec period{};
    period.it_value.tv_sec = period.it_interval.tv_sec = seconds;
    ::timerfd_settime(timer_.get(), 0, &period, nullptr);
}

// --- Free page hinting (5.5.6.7) -----------------------------------------------------------------

// The guest keeps hinted pages until it reads DONE, unless it runs out of memory: what it then
// takes back before we come to the hint would be lost. A hint is taken for what it is only in the
// round that the host asked for; who cannot bear that leaves hinting off (docs/balloon.md).
void BalloonDevice::take_hint(Queue& queue, Chain chain) {
    if (chain.readable() != 0) return take_hinting_command(queue, std::move(chain));
    const uint32_t command = space_.hinting_cmd_id;
    if (command >= kHintingFirst && guest_command_ == command) discard(reported_ranges(chain));
    queue.complete(std::move(chain), 0);
}

void BalloonDevice::take_hinting_command(Queue& queue, Chain chain) {
    le32 command;
    if (chain.writable() != 0 || chain.readable() != sizeof command)
        return queue.reject(std::move(chain), "a hinting command that is not 4 bytes to read");
    chain.read(std::as_writable_bytes(std::span(&command, 1)));
    guest_command_ = command;
    queue.complete(std::move(chain), 0);
    if (command == kHintingStop && acknowledge_on_stop_ && space_.hinting_cmd_id >= kHintingFirst)
        command_hinting(kHintingDone);
}

void BalloonDevice::command_hinting(uint32_t command) {
    space_.hinting_cmd_id = command;
    interrupt_->config();
}

Result<> BalloonDevice::check_hinting() const {
    if (!offered_.hinting) return fail("balloon: free page hinting is off");
    if (queues_.empty()) return fail("balloon: the guest's driver is not active");
    return {};
}

Result<> BalloonDevice::start_hinting(bool acknowledge_on_stop) {
    TRY(check_hinting());
    acknowledge_on_stop_ = acknowledge_on_stop;
    last_command_ = std::max(last_command_ + 1, kHintingFirst);
    command_hinting(last_command_);
    return {};
}

Result<> BalloonDevice::stop_hinting() {
    TRY(check_hinting());
    command_hinting(kHintingDone);
    return {};
}

Result<BalloonDevice::Hinting> BalloonDevice::hinting() const {
    if (!offered_.hinting) return fail("balloon: free page hinting is off");
    return Hinting{.host_command = space_.hinting_cmd_id, .guest_command = guest_command_};
}

// --- The target ----------------------------------------------------------------------------------

Result<> BalloonDevice::set_target(uint32_t pages) {
    if (queues_.empty()) return fail("balloon: the guest's driver is not active");
    if (pages > memory_.size() / kBalloonPageSize)
        return fail("balloon: {} pages are more than the guest's memory", pages);
    space_.num_pages = pages;
    interrupt_->config();
    return {};
}

}  // namespace mote
