#include "devices/virtio/console.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace mote {

namespace {

// What is copied at a time on the way out.
constexpr size_t kPiece = 4096;

virtio::ConsoleDeviceConfig config_of(std::optional<WindowSize> size) {
    virtio::ConsoleDeviceConfig config{};
    if (!size) return config;
    config.columns = size->columns;
    config.rows = size->rows;
    return config;
}

}  // namespace

ConsoleDevice::ConsoleDevice(ConsoleOutput& output, std::optional<WindowSize> size, EventFd typed)
    : output_(output),
      has_size_(size.has_value()),
      config_(config_of(size)),
      typed_(std::move(typed)) {
    input_.reserve(kInputSize);
}

Result<std::unique_ptr<ConsoleDevice>> ConsoleDevice::create(ConsoleOutput& output,
                                                             std::optional<WindowSize> size) {
    EventFd typed = TRY(EventFd::create());
    return std::unique_ptr<ConsoleDevice>(new ConsoleDevice(output, size, std::move(typed)));
}

uint64_t ConsoleDevice::features() const {
    const uint64_t size = has_size_ ? virtio::kFeatureConsoleSize : 0;
    return virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect | size;
}

Result<> ConsoleDevice::activate(const Activation& activation) {
    TRY(activation.loop.add(typed_.fd(), EPOLLIN, [this](uint32_t) {
        typed_.consume();
        if (deliver()) typed_.signal();
    }));
    loop_ = &activation.loop;
    interrupt_ = &activation.interrupt;
    receive_ = activation.queues[virtio::kConsoleReceive];
    transmit_ = activation.queues[virtio::kConsoleTransmit];
    return {};
}

void ConsoleDevice::reset() {
    if (loop_ != nullptr) loop_->remove(typed_.fd());
    loop_ = nullptr;
    receive_ = nullptr;
    transmit_ = nullptr;
    draining_ = size_told_ = false;
}

void ConsoleDevice::drain(std::function<void()> done) {
    draining_ = true;
    done();
}

void ConsoleDevice::resume() {
    draining_ = false;
}

bool ConsoleDevice::on_queue(uint16_t index) {
    return index == virtio::kConsoleReceive ? deliver() : print();
}

bool ConsoleDevice::has_input() {
    const std::lock_guard lock(mutex_);
    return !input_.empty();
}

bool ConsoleDevice::deliver() {
    if (draining_ || receive_ == nullptr) return false;
    unsigned chains = kMaxChainsPerTurn;
    do {
        while (chains != 0 && has_input()) {
            auto chain = receive_->pop();
            if (!chain) break;
            fill(*std::move(chain));
            --chains;
        }
        if (receive_->publish()) interrupt_->queue(virtio::kConsoleReceive);
        if (chains == 0) return true;
    } while (has_input() && receive_->enable_notifications());
    return false;
}

void ConsoleDevice::fill(Chain chain) {
    if (chain.writable() == 0 || chain.readable() != 0)
        return receive_->reject(std::move(chain), "a receive buffer is there to be filled");
    const std::lock_guard lock(mutex_);
    const size_t size = std::min<uint64_t>(chain.writable(), input_.size());
    chain.write(std::span(input_).first(size));
    receive_->complete(std::move(chain), static_cast<uint32_t>(size));
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(size));
    // Not for each byte that is taken: the sender wakes for it.
    if (!sender_waits_ || input_.size() > kInputSize / 2) return;
    sender_waits_ = false;
    if (tell_room_) tell_room_();
}

bool ConsoleDevice::print() {
    if (draining_ || transmit_ == nullptr) return false;
    uint64_t bytes = 0;
    unsigned chains = 0;
    bool more = false;
    do {
        while (!more) {
            auto chain = transmit_->pop();
            if (!chain) break;
            bytes += chain->readable();
            print_chain(*std::move(chain));
            more = bytes >= kMaxBytesPerTurn || ++chains == kMaxChainsPerTurn;
        }
        if (transmit_->publish()) interrupt_->queue(virtio::kConsoleTransmit);
        // Linux up to 6.1 looks at the size when it is told of a change, and has to have a terminal
        // by then: it has one once it prints.
        if (has_size_ && bytes != 0 && !std::exchange(size_told_, true)) interrupt_->config();
    } while (!more && transmit_->enable_notifications());
    return more;
}

void ConsoleDevice::print_chain(Chain chain) {
    if (chain.writable() != 0 || chain.readable() > kMaxChainBytes)
        return transmit_->reject(std::move(chain), "a transmit buffer holds up to 1 MiB to print");
    std::array<std::byte, kPiece> piece;
    while (chain.readable() != 0) {
        const auto part = std::span(piece).first(std::min<uint64_t>(kPiece, chain.readable()));
        if (!chain.read(part)) break;
        output_.write(part);
    }
    transmit_->complete(std::move(chain), 0);
}

size_t ConsoleDevice::push(std::span<const std::byte> bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const size_t taken = std::min(bytes.size(), kInputSize - input_.size());
    input_.insert(input_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    sender_waits_ = taken != bytes.size();
    if (taken != 0) typed_.signal();
    return taken;
}

void ConsoleDevice::on_room(std::function<void()> tell) {
    const std::lock_guard lock(mutex_);
    tell_room_ = std::move(tell);
}

}  // namespace mote
