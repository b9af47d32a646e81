// VsockTable: the connections of a vsock device, and whose turn it is to send to the guest.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>

#include "devices/virtio/vsock_connection.h"

namespace mote {

/// A packet that no connection stands behind: "there is none, or no more" (5.10.6.4).
struct VsockReset {
    VsockPorts ports;
    uint16_t type = virtio::kVsockStream;
};

/// Owns all connections, at most `limit`. Worker's thread.
class VsockTable {
  public:
    /// Ports that the host's clients get, from here upward.
    static constexpr uint32_t kFirstHostPort = 1U << 30U;
    /// What the guest may have under way on one connection; the smaller one once there are many.
    /// Together they bound what all sockets that nobody reads can make mote hold.
    static constexpr uint32_t kLargeWindow = 512U << 10U;
    static constexpr uint32_t kSmallWindow = 64U << 10U;
    static constexpr size_t kMaxLarge = 128;
    /// A guest that causes more of them without taking any does not hear of the rest.
    static constexpr size_t kMaxResets = 1024;

    VsockTable(uint32_t limit, const VsockTimes& times) : limit_(limit), times_(times) {}

    [[nodiscard]] bool full() const { return connections_.size() >= limit_; }
    [[nodiscard]] size_t size() const { return connections_.size(); }

    /// A client that has not said where it wants to go. Not while full.
    VsockConnection& add_client(UniqueFd client);
    /// Gives a client the next port, and the way to `guest_port`.
    void assign(VsockConnection& connection, uint32_t guest_port);
    /// A request of the guest's. Not while full, nor where these ports are in use.
    VsockConnection& add_request(VsockPorts ports);
    [[nodiscard]] VsockConnection* find(VsockPorts ports);
    void remove(VsockConnection& connection);
    void clear();

    /// Calls `visit` for each connection, which it may remove.
    void for_each(const std::function<void(VsockConnection&)>& visit);

    /// Puts a connection with something to send behind the others that wait, once.
    void make_ready(VsockConnection& connection);
    /// The connection whose turn it is, or null; it does not wait any more.
    VsockConnection* next_ready();
    [[nodiscard]] bool any_ready() const { return !ready_.empty() || !resets_.empty(); }

    void add_reset(const VsockReset& reset);
    std::optional<VsockReset> next_reset();

  private:
    using Ready = std::list<VsockConnection*>;
    struct Entry {
        std::unique_ptr<VsockConnection> connection;
        /// Its one node, here while it does not wait: waiting allocates nothing.
        Ready idle;
        Ready::iterator node;
        bool waiting = false;
    };

    static uint64_t key_of(VsockPorts ports) { return uint64_t{ports.host} << 32U | ports.guest; }
    /// Of the nth connection.
    static uint32_t window_for(size_t nth) {
        return nth <= kMaxLarge ? kLargeWindow : kSmallWindow;
    }
    uint32_t take_port();
    VsockConnection& add(std::unique_ptr<VsockConnection> connection);

    const uint32_t limit_;
    const VsockTimes times_;
    std::unordered_map<const VsockConnection*, Entry> connections_;
    std::unordered_map<uint64_t, VsockConnection*> by_ports_;
    Ready ready_;
    std::deque<VsockReset> resets_;
    uint32_t next_port_ = kFirstHostPort;
};

}  // namespace mote
