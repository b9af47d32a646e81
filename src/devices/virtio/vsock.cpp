#include "devices/virtio/vsock.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <utility>

#include "base/errno_text.h"

namespace mote {

using namespace virtio;

namespace {

constexpr uint16_t kRxQueue = 0;
constexpr uint16_t kTxQueue = 1;

/// A turn's share: after it, the worker's other devices come first.
constexpr unsigned kPacketsPerTurn = 256;
constexpr uint64_t kBytesPerTurn = uint64_t{4} << 20U;
constexpr unsigned kClientsPerTurn = 32;
/// How precisely time limits are kept, and how soon a busy listener is asked again.
constexpr long kTickNs = 50'000'000;

constexpr uint32_t kHostEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

}  // namespace

Result<std::unique_ptr<VirtioDevice>> VsockDevice::create(VsockDeviceConfig config) {
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer.valid()) return fail_errno("vsock: cannot make a timer");
    return std::unique_ptr<VirtioDevice>(new VsockDevice(std::move(config), std::move(timer)));
}

VsockDevice::VsockDevice(VsockDeviceConfig config, UniqueFd timer)
    : guest_cid_(config.guest_cid),
      path_(std::move(config.path)),
      space_{.guest_cid = uint64_t{config.guest_cid}},
      listener_(std::move(config.listener)),
      timer_(std::move(timer)),
      table_(config.max_connections, config.times) {}

uint64_t VsockDevice::features() const {
    return kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect | kFeatureInOrder;
}

Result<> VsockDevice::activate(const Activation& activation) {
    interrupt_ = &activation.interrupt;
    loop_ = &activation.loop;
    rx_queue_ = activation.queues[kRxQueue];
    tx_queue_ = activation.queues[kTxQueue];
    if (rx_queue_ == nullptr || tx_queue_ == nullptr) return {};
    rx_.attach(rx_queue_);
    tx_.attach(tx_queue_);
    TRY(loop_->add(timer_.get(), EPOLLIN, [this](uint32_t) { on_tick(); }));
    TRY(loop_->add(listener_.get(), EPOLLIN | EPOLLET, [this](uint32_t) {
        acceptable_ = true;
        request_turn();
    }));
    return {};
}

void VsockDevice::reset() {
    if (rx_queue_ == nullptr || tx_queue_ == nullptr) return;
    arm_timer(false);
    loop_->remove(listener_.get());
    loop_->remove(timer_.get());
    table_.for_each([this](VsockConnection& connection) { drop(connection); });
    table_.clear();
    rx_.attach(nullptr);
    tx_.attach(nullptr);
    rx_queue_ = tx_queue_ = nullptr;
    paused_ = starved_ = acceptable_ = accept_later_ = false;
}

// No chain outlives a turn but empty receive buffers, which nobody writes meanwhile.
void VsockDevice::drain(std::function<void()> done) {
    paused_ = true;
    done();
}

void VsockDevice::resume() {
    paused_ = false;
    request_turn();
}

bool VsockDevice::on_queue(uint16_t index) {
    static_cast<void>(index);
    request_turn();
    return false;
}

// --- A turn --------------------------------------------------------------------------------------

void VsockDevice::request_turn() {
    if (std::exchange(turn_requested_, true)) return;
    loop_->defer([this] { turn(); });
}

void VsockDevice::turn() {
    turn_requested_ = false;
    if (rx_queue_ == nullptr || tx_queue_ == nullptr || paused_) return;
    poll_.woken();
    tx_queue_->disable_notifications();
    const bool more_clients = acceptable_ && accept_clients();
    const bool more_tx = serve_tx();
    const bool more_rx = serve_rx();
    if (more_clients || more_tx || more_rx || wait_for_more()) request_turn();
}

/// True where there is more to do already; else whatever comes will be told.
bool VsockDevice::wait_for_more() {
    const auto found = [this] {
        return tx_queue_->has_work() || (starved_ && rx_queue_->has_work());
    };
    bool others = false;
    const auto others_wait = [this, &others] { return others = loop_->others_wait(); };
    // Others are mostly this device's own sockets: it comes back after them, and need not be told
    // of what the guest sends meanwhile.
    if (poll_.look(found, others_wait) || others) return true;
    const bool sent = tx_queue_->enable_notifications();
    return (starved_ && rx_.enable_notifications()) || sent;
}

// --- From the guest ------------------------------------------------------------------------------

bool VsockDevice::serve_tx() {
    uint64_t bytes = 0;
    unsigned packets = 0;
    for (; packets < kPacketsPerTurn && bytes < kBytesPerTurn; ++packets) {
        const auto header = tx_.next();
        if (!header) break;
        bytes += header->length;
        take_packet(*header);
    }
    finish_run();
    publish_tx();
    return packets == kPacketsPerTurn || bytes >= kBytesPerTurn;
}

void VsockDevice::publish_tx() {
    if (tx_.publish()) interrupt_->queue(kTxQueue);
}

void VsockDevice::take_packet(const VsockHeader& header) {
    const VsockPorts ports{.host = header.destination_port, .guest = header.source_port};
    const auto op = static_cast<VsockOp>(static_cast<uint16_t>(header.op));
    const bool ours = header.source_cid == guest_cid_ && header.source_cid_upper == 0 &&
                      header.destination_cid == kVsockHostCid && header.destination_cid_upper == 0;
    const bool stream = header.type == kVsockStream;
    const bool data = op == VsockOp::rw && header.length != 0;
    const bool in_run = running_ != nullptr && running_->ports() == ports && !tx_.run_full();
    if (in_run && ours && stream && data && running_->update_credit(header)) return tx_.keep();

    finish_run();
    if (!ours) return tx_.drop();
    VsockConnection* const connection = stream ? table_.find(ports) : nullptr;
    if (connection == nullptr) {
        tx_.drop();
        if (stream && op == VsockOp::request) return begin_request(header, ports);
        if (op != VsockOp::rst) table_.add_reset({.ports = ports, .type = header.type});
    } else if (!connection->update_credit(header)) {
        tx_.drop();
        act(*connection, Next::reset);
    } else if (data) {
        running_ = connection;
        tx_.keep();
    } else {
        tx_.drop();
        act(*connection, connection->on_control(header));
    }
}

void VsockDevice::finish_run() {
    if (running_ == nullptr) return;
    VsockConnection& connection = *std::exchange(running_, nullptr);
    const Next next = connection.on_data(tx_.run(), tx_.run_bytes());
    tx_.finish_run();
    publish_tx();
    act(connection, next);
}

void VsockDevice::begin_request(const VsockHeader& header, VsockPorts ports) {
    if (table_.full()) return table_.add_reset({.ports = ports});
    VsockConnection& connection = table_.add_request(ports);
    if (!connection.update_credit(header)) return act(connection, Next::reset);
    static_cast<void>(connect(connection));
}

/// False where the connection is no more.
bool VsockDevice::connect(VsockConnection& connection) {
    const std::string path = fmt::format("{}_{}", path_, connection.ports().host);
    Next next = connection.begin_connect(path);
    if (next == Next::go_on && connection.fd() >= 0 && !watch(connection)) next = Next::reset;
    act(connection, next);
    return next == Next::go_on;
}

// --- To the guest --------------------------------------------------------------------------------

bool VsockDevice::serve_rx() {
    uint64_t bytes = 0;
    unsigned packets = 0;
    starved_ = false;
    for (; packets < kPacketsPerTurn && bytes < kBytesPerTurn && table_.any_ready(); ++packets) {
        starved_ = !rx_.available();
        if (starved_) break;
        if (const auto reset = table_.next_reset())
            send_reset(*reset);
        else
            bytes += serve(*table_.next_ready());
    }
    publish_rx();
    return table_.any_ready() && !starved_;
}

void VsockDevice::send_reset(const VsockReset& reset) {
    VsockHeader header{};
    header.source_cid = kVsockHostCid;
    header.destination_cid = guest_cid_;
    header.source_port = reset.ports.host;
    header.destination_port = reset.ports.guest;
    header.type = reset.type;
    header.op = static_cast<uint16_t>(VsockOp::rst);
    rx_.send(header);
}

/// One packet without data, or one read of the host's socket: then the next connection comes.
size_t VsockDevice::serve(VsockConnection& connection) {
    size_t got = 0;
    if (const auto header = connection.next_control(guest_cid_)) {
        rx_.send(*header);
    } else if (const uint32_t limit = connection.may_receive(); limit != 0) {
        const VsockRx::Room room = rx_.gather(limit);
        got = connection.receive(room.parts, room.bytes);
        if (got != 0) {
            rx_.fill(connection.data_header(guest_cid_), got);
            publish_rx();
        }
    }
    refresh(connection);
    return got;
}

void VsockDevice::publish_rx() {
    if (rx_.publish()) interrupt_->queue(kRxQueue);
}

// --- The host ------------------------------------------------------------------------------------

/// True where more clients may be waiting.
bool VsockDevice::accept_clients() {
    for (unsigned i = 0; i < kClientsPerTurn; ++i) {
        UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!client.valid()) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            acceptable_ = false;
            if (errno == EAGAIN) return false;
            if (log_limiter_.allow())
                log_message(LogLevel::warning, "vsock: cannot accept a client: {}",
                            errno_text(errno));
            accept_later_ = true;
            arm_timer(true);
            return false;
        }
        if (table_.full()) continue;  // closed: it had better not wait for ever
        VsockConnection& connection = table_.add_client(std::move(client));
        if (watch(connection))
            refresh(connection);
        else
            drop(connection);
    }
    return true;
}

bool VsockDevice::watch(VsockConnection& connection) {
    const auto handler = [this, &connection](uint32_t events) {
        on_host_events(connection, events);
    };
    return loop_->add(connection.fd(), kHostEvents, handler).has_value();
}

void VsockDevice::on_host_events(VsockConnection& connection, uint32_t events) {
    if (connection.state() == VsockConnection::State::greeting)
        on_greeting(connection, events);
    else
        act(connection, connection.on_events(events));
    request_turn();
}

void VsockDevice::on_greeting(VsockConnection& connection, uint32_t events) {
    const HostGreeting greeting = connection.greet(events);
    switch (greeting.state) {
        case HostGreeting::State::incomplete:
            return;
        case HostGreeting::State::wrong:
            return drop(connection);
        case HostGreeting::State::complete:
            table_.assign(connection, greeting.port);
            return refresh(connection);
    }
}

// --- Connections ---------------------------------------------------------------------------------

void VsockDevice::act(VsockConnection& connection, Next next) {
    if (next == Next::go_on) return refresh(connection);
    if (next == Next::reset) table_.add_reset({.ports = connection.ports()});
    drop(connection);
}

void VsockDevice::refresh(VsockConnection& connection) {
    if (connection.has_packet()) table_.make_ready(connection);
    if (connection.timed()) arm_timer(true);
    // A failure leaves what a full socket holds to the connection's end.
    if (connection.take_write_wish())
        static_cast<void>(loop_->modify(connection.fd(), kHostEvents | EPOLLOUT));
}

void VsockDevice::drop(VsockConnection& connection) {
    if (connection.fd() >= 0) loop_->remove(connection.fd());
    table_.remove(connection);
}

// --- Time ----------------------------------------------------------------------------------------

void VsockDevice::arm_timer(bool on) {
    if (std::exchange(ticking_, on) == on) return;
    itimerspec interval{};
    if (on) interval.it_interval.tv_nsec = interval.it_value.tv_nsec = kTickNs;
    ::timerfd_settime(timer_.get(), 0, &interval, nullptr);
}

void VsockDevice::on_tick() {
    uint64_t count = 0;
    if (::read(timer_.get(), &count, sizeof count) != sizeof count) return;
    const auto now = VsockConnection::Clock::now();
    bool any = false;
    table_.for_each([&](VsockConnection& connection) {
        if (connection.state() == VsockConnection::State::connecting && !connect(connection))
            return;
        if (!connection.timed()) return;
        any = true;
        const Next next = connection.on_time(now);
        if (next != Next::go_on) act(connection, next);
    });
    if (std::exchange(accept_later_, false)) acceptable_ = true;
    if (!any) arm_timer(false);
    request_turn();
}

}  // namespace mote
