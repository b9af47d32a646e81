#include "devices/virtio/vsock_table.h"

#include <utility>
#include <vector>

namespace mote {

VsockConnection& VsockTable::add(std::unique_ptr<VsockConnection> connection) {
    VsockConnection& added = *connection;
    Entry& entry = connections_[&added];
    entry.connection = std::move(connection);
    entry.idle.push_back(&added);
    entry.node = entry.idle.begin();
    return added;
}

VsockConnection& VsockTable::add_client(UniqueFd client) {
    return add(std::make_unique<VsockConnection>(std::move(client), times_));
}

uint32_t VsockTable::take_port() {
    const uint32_t port = next_port_++;
    if (next_port_ == 2 * kFirstHostPort) next_port_ = kFirstHostPort;
    return port;
}

void VsockTable::assign(VsockConnection& connection, uint32_t guest_port) {
    VsockPorts ports{.host = take_port(), .guest = guest_port};
    // There are fewer connections than ports.
    while (by_ports_.contains(key_of(ports)))
        ports.host = take_port();
    connection.request(ports, window_for(connections_.size()));
    by_ports_[key_of(ports)] = &connection;
}

VsockConnection& VsockTable::add_request(VsockPorts ports) {
    const uint32_t window = window_for(connections_.size() + 1);
    VsockConnection& added = add(std::make_unique<VsockConnection>(ports, window, times_));
    by_ports_[key_of(ports)] = &added;
    return added;
}

VsockConnection* VsockTable::find(VsockPorts ports) {
    const auto found = by_ports_.find(key_of(ports));
    return found == by_ports_.end() ? nullptr : found->second;
}

void VsockTable::remove(VsockConnection& connection) {
    const auto found = connections_.find(&connection);
    if (found->second.waiting) ready_.erase(found->second.node);
    if (connection.state() != VsockConnection::State::greeting)
        by_ports_.erase(key_of(connection.ports()));
    connections_.erase(found);
}

void VsockTable::clear() {
    ready_.clear();
    by_ports_.clear();
    connections_.clear();
    resets_.clear();
}

void VsockTable::for_each(const std::function<void(VsockConnection&)>& visit) {
    for (auto at = connections_.begin(); at != connections_.end();) {
        VsockConnection& connection = *at->second.connection;
        ++at;  // erasing another entry leaves iterators alone
        visit(connection);
    }
}

void VsockTable::make_ready(VsockConnection& connection) {
    Entry& entry = connections_.at(&connection);
    if (std::exchange(entry.waiting, true)) return;
    ready_.splice(ready_.end(), entry.idle, entry.node);
}

VsockConnection* VsockTable::next_ready() {
    if (ready_.empty()) return nullptr;
    VsockConnection* const connection = ready_.front();
    Entry& entry = connections_.at(connection);
    entry.waiting = false;
    entry.idle.splice(entry.idle.end(), ready_, entry.node);
    return connection;
}

void VsockTable::add_reset(const VsockReset& reset) {
    if (resets_.size() < kMaxResets) resets_.push_back(reset);
}

std::optional<VsockReset> VsockTable::next_reset() {
    if (resets_.empty()) return std::nullopt;
    const VsockReset reset = resets_.front();
    resets_.pop_front();
    return reset;
}

}  // namespace mote
