#include "devices/virtio/vsock_connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace mote {

using namespace virtio;
using Next = VsockConnection::Next;

VsockConnection::VsockConnection(UniqueFd client, const VsockTimes& times)
    : times_(times), state_(State::greeting), socket_(std::move(client)) {
    set_deadline(times_.greeting);
}

VsockConnection::VsockConnection(VsockPorts ports, uint32_t window, const VsockTimes& times)
    : times_(times), state_(State::connecting), ports_(ports), credit_(window) {
    set_deadline(times_.connect);
}

// --- Beginning -----------------------------------------------------------------------------------

HostGreeting VsockConnection::greet(uint32_t events) {
    note(events);
    HostGreeting greeting = host_greeting(fd());
    if (greeting.state == HostGreeting::State::incomplete && ending_)
        greeting.state = HostGreeting::State::wrong;
    return greeting;
}

void VsockConnection::request(VsockPorts ports, uint32_t window) {
    ports_ = ports;
    credit_ = VsockCredit(window);
    state_ = State::requesting;
    set_deadline(times_.connect);
    owe(VsockOp::request);
}

Next VsockConnection::begin_connect(const std::string& path) {
    HostConnect connect = host_connect(path);
    if (!connect.socket.valid()) return connect.busy ? Next::go_on : Next::reset;
    socket_ = std::move(connect.socket);
    state_ = State::established;
    readable_ = true;
    deadline_.reset();
    owe(VsockOp::response);
    return Next::go_on;
}

// --- From the guest ------------------------------------------------------------------------------

bool VsockConnection::update_credit(const VsockHeader& header) {
    if (!credit_.update(header)) return false;
    if (credit_.available() != 0) credit_requested_ = false;
    return true;
}

Next VsockConnection::on_control(const VsockHeader& header) {
    switch (static_cast<VsockOp>(static_cast<uint16_t>(header.op))) {
        case VsockOp::response:
            return on_response();
        case VsockOp::rst:
            // What it sent before it closed still goes to the host.
            if (!guest_quiet_ || backlog_.empty()) return Next::remove;
            guest_left_ = true;
            pending_ = 0;
            if (!deadline_) set_deadline(times_.close);
            return Next::go_on;
        case VsockOp::shutdown:
            return on_shutdown(header.flags);
        case VsockOp::credit_update:
            return Next::go_on;
        case VsockOp::credit_request:
            owe(VsockOp::credit_update);
            return Next::go_on;
        case VsockOp::rw:  // without data
            return state_ == State::established ? Next::go_on : Next::reset;
        case VsockOp::request:
            break;
    }
    return Next::reset;
}

Next VsockConnection::on_response() {
    if (state_ != State::requesting || owes(VsockOp::request)) return Next::reset;
    state_ = State::established;
    readable_ = true;
    deadline_.reset();
    const std::string line = fmt::format("OK {}\n", ports_.host);
    const auto sent = host_send(fd(), std::as_bytes(std::span(line)));
    return sent.bytes == line.size() ? Next::go_on : Next::reset;
}

Next VsockConnection::on_shutdown(uint32_t flags) {
    if (state_ != State::established) return Next::reset;
    if ((flags & kVsockShutdownReceive) != 0 && !std::exchange(guest_deaf_, true))
        ::shutdown(fd(), SHUT_RD);
    if ((flags & kVsockShutdownSend) != 0 && !std::exchange(guest_quiet_, true))
        if (backlog_.empty()) ::shutdown(fd(), SHUT_WR);
    return check_end();
}

Next VsockConnection::on_data(std::span<const iovec> parts, size_t bytes) {
    if (state_ != State::established || guest_quiet_ || !credit_.received(bytes))
        return Next::reset;
    size_t sent = 0;
    if (!host_deaf_ && backlog_.empty()) {
        const HostTransfer transfer = host_send(fd(), parts, bytes);
        sent = transfer.bytes;
        if (transfer.end == HostTransfer::End::closed) host_takes_no_more();
    }
    if (host_deaf_) {
        sent = bytes;
    } else if (sent < bytes) {
        backlog_.append(parts, sent);
        if (!std::exchange(was_full_, true)) write_wish_ = true;
    }
    credit_.forwarded(sent);
    if (credit_.update_due()) owe(VsockOp::credit_update);
    return Next::go_on;
}

// --- From the host -------------------------------------------------------------------------------

void VsockConnection::note(uint32_t events) {
    constexpr uint32_t kEnd = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & (EPOLLIN | kEnd)) != 0) readable_ = true;
    if ((events & kEnd) != 0) ending_ = true;
}

Next VsockConnection::on_events(uint32_t events) {
    note(events);
    if (state_ == State::requesting) {
        // What it sends meanwhile waits; that it is gone does not.
        return (events & (EPOLLHUP | EPOLLERR)) != 0 ? Next::reset : Next::go_on;
    }
    // Both directions of the socket have ended; ours by the guest, if it is quiet.
    if ((events & EPOLLHUP) != 0 && !guest_quiet_) host_takes_no_more();
    return !backlog_.empty() ? flush() : Next::go_on;
}

void VsockConnection::host_takes_no_more() {
    if (std::exchange(host_deaf_, true)) return;
    credit_.forwarded(backlog_.bytes().size());
    backlog_.clear();
    readable_ = true;  // there may be data left, and there is an end to be found
    owe(VsockOp::shutdown);
}

Next VsockConnection::flush() {
    bool progress = false;
    while (!backlog_.empty()) {
        const HostTransfer transfer = host_send(fd(), backlog_.bytes());
        progress = progress || transfer.bytes != 0;
        backlog_.consume(transfer.bytes);
        credit_.forwarded(transfer.bytes);
        if (transfer.end == HostTransfer::End::closed) host_takes_no_more();
        if (transfer.end == HostTransfer::End::later) break;
    }
    if (!guest_left_ && credit_.update_due()) owe(VsockOp::credit_update);
    if (backlog_.empty()) {
        if (guest_left_) return Next::remove;
        if (guest_quiet_) ::shutdown(fd(), SHUT_WR);
        return check_end();
    }
    if (progress && deadline_) set_deadline(times_.close);
    return Next::go_on;
}

Next VsockConnection::check_end() {
    const bool guest_gone = guest_quiet_ && guest_deaf_;
    if (guest_gone && backlog_.empty()) return Next::reset;
    const bool to_guest_ended = guest_deaf_ || told_quiet_;
    const bool to_host_ended = host_deaf_ || (guest_quiet_ && backlog_.empty());
    if ((guest_gone || (to_guest_ended && to_host_ended)) && !deadline_) set_deadline(times_.close);
    return Next::go_on;
}

// --- To the guest --------------------------------------------------------------------------------

bool VsockConnection::take(VsockOp op) {
    const bool due = owes(op);
    pending_ &= ~bit_of(op);
    return due;
}

VsockHeader VsockConnection::header(uint32_t guest_cid, VsockOp op) {
    VsockHeader header{};
    header.source_cid = kVsockHostCid;
    header.destination_cid = guest_cid;
    header.source_port = ports_.host;
    header.destination_port = ports_.guest;
    header.type = kVsockStream;
    header.op = static_cast<uint16_t>(op);
    credit_.tell(header);
    return header;
}

VsockHeader VsockConnection::data_header(uint32_t guest_cid) {
    return header(guest_cid, VsockOp::rw);
}

uint32_t VsockConnection::shutdown_flags() const {
    return (host_quiet_ ? kVsockShutdownSend : 0) | (host_deaf_ ? kVsockShutdownReceive : 0);
}

std::optional<VsockHeader> VsockConnection::next_control(uint32_t guest_cid) {
    for (const VsockOp op :
         {VsockOp::request, VsockOp::response, VsockOp::credit_update, VsockOp::credit_request}) {
        if (!take(op)) continue;
        if (op == VsockOp::credit_update || op == VsockOp::credit_request)
            take(VsockOp::credit_update);
        return header(guest_cid, op);
    }
    if (!take(VsockOp::shutdown)) return std::nullopt;
    VsockHeader packet = header(guest_cid, VsockOp::shutdown);
    packet.flags = shutdown_flags();
    told_quiet_ = host_quiet_;
    static_cast<void>(check_end());
    return packet;
}

uint32_t VsockConnection::may_receive() const {
    if (state_ != State::established || !readable_ || host_quiet_ || guest_deaf_ || guest_left_)
        return 0;
    return credit_.available();
}

size_t VsockConnection::receive(std::span<iovec> parts, size_t total) {
    const HostTransfer transfer = host_receive(fd(), parts, total);
    // No event will tell of an end that there is already.
    if (transfer.end != HostTransfer::End::more) readable_ = ending_;
    if (transfer.end == HostTransfer::End::closed) {
        host_quiet_ = true;
        owe(VsockOp::shutdown);
    }
    credit_.sent(transfer.bytes);
    // The guest may be slow to say that it has room again; it does not say so for each byte.
    if (readable_ && credit_.available() == 0 && !std::exchange(credit_requested_, true))
        owe(VsockOp::credit_request);
    return transfer.bytes;
}

// --- Time ----------------------------------------------------------------------------------------

Next VsockConnection::on_time(Clock::time_point now) {
    if (!deadline_ || now < *deadline_) return Next::go_on;
    return state_ == State::greeting || guest_left_ ? Next::remove : Next::reset;
}

}  // namespace mote
