// VsockConnection: one stream between a socket of the host and a port of the guest.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "devices/virtio/vsock_backlog.h"
#include "devices/virtio/vsock_credit.h"
#include "devices/virtio/vsock_protocol.h"
#include "devices/virtio/vsock_socket.h"

namespace mote {

/// Names a connection to the guest.
struct VsockPorts {
    uint32_t host = 0;
    uint32_t guest = 0;
    bool operator==(const VsockPorts&) const = default;
};

/// How long either side may keep the other waiting.
struct VsockTimes {
    std::chrono::milliseconds greeting{30'000};  ///< for a client's whole CONNECT line
    std::chrono::milliseconds connect{2'000};    ///< for a connection to be accepted
    std::chrono::milliseconds close{2'000};      ///< without progress, once it is to end
};

/// The state machine of one connection (virtio 1.2, 5.10.6). Knows nothing of queues: packets come
/// as headers and buffers; what is due to the guest is asked for. Worker's thread.
///
/// Life: greeting -> requesting -> established, where a client of the host asks for a port of the
/// guest's; connecting -> established, where the guest asks for one of the host's.
class VsockConnection {
  public:
    using Clock = std::chrono::steady_clock;
    enum class State : uint8_t {
        greeting,     ///< the client has not said which port it wants
        requesting,   ///< the guest has not answered
        connecting,   ///< who listens on the host is busy
        established,  ///< and what comes after it
    };
    /// What is to become of it.
    enum class Next : uint8_t {
        go_on,
        remove,  ///< the guest knows
        reset,   ///< the guest has to be told
    };

    /// A client of the host's.
    VsockConnection(UniqueFd client, const VsockTimes& times);
    /// A request of the guest's; begin_connect() comes next.
    VsockConnection(VsockPorts ports, uint32_t window, const VsockTimes& times);

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] const VsockPorts& ports() const { return ports_; }
    /// -1 while connecting.
    [[nodiscard]] int fd() const { return socket_.get(); }

    // --- Beginning ---
    /// Epoll events of a greeting client: the port that it asks for, once it has; `wrong` where it
    /// is to be dropped.
    HostGreeting greet(uint32_t events);
    /// The client gets a port: the guest is asked.
    void request(VsockPorts ports, uint32_t window);
    /// Tries to reach the listener at `path`; established, still connecting, or refused (reset).
    Next begin_connect(const std::string& path);

    // --- From the guest ---
    /// Takes what each packet's header says of the guest's buffer; false where that cannot be.
    [[nodiscard]] bool update_credit(const virtio::VsockHeader& header);
    /// Any packet but data.
    Next on_control(const virtio::VsockHeader& header);
    /// The data of one packet or several in a row.
    Next on_data(std::span<const iovec> parts, size_t bytes);

    // --- From the host ---
    /// Epoll events of fd(), once it is not greeting any more.
    Next on_events(uint32_t events);
    /// True once, where a full socket makes it wait for EPOLLOUT, from then on: streams that never
    /// fill a socket are spared an event for each message that the host takes.
    bool take_write_wish() { return std::exchange(write_wish_, false); }

    // --- To the guest ---
    /// True where a packet is due, or data may be there to send.
    [[nodiscard]] bool has_packet() const { return pending_ != 0 || may_receive() != 0; }
    /// The next packet without data that is due, if any.
    std::optional<virtio::VsockHeader> next_control(uint32_t guest_cid);
    /// The most bytes that can be sent to the guest now.
    [[nodiscard]] uint32_t may_receive() const;
    /// Fills `parts` (`total` bytes, up to may_receive()) from the host's socket.
    size_t receive(std::span<iovec> parts, size_t total);
    /// The header of data packets.
    virtio::VsockHeader data_header(uint32_t guest_cid);

    // --- Time ---
    [[nodiscard]] bool timed() const { return deadline_.has_value(); }
    /// Ends what has lasted too long.
    Next on_time(Clock::time_point now);

  private:
    static uint32_t bit_of(virtio::VsockOp op) { return 1U << static_cast<unsigned>(op); }
    void owe(virtio::VsockOp op) { pending_ |= bit_of(op); }
    [[nodiscard]] bool owes(virtio::VsockOp op) const { return (pending_ & bit_of(op)) != 0; }
    bool take(virtio::VsockOp op);
    virtio::VsockHeader header(uint32_t guest_cid, virtio::VsockOp op);
    void set_deadline(std::chrono::milliseconds from_now) { deadline_ = Clock::now() + from_now; }
    Next on_response();
    Next on_shutdown(uint32_t flags);
    void note(uint32_t events);
    void host_takes_no_more();
    Next flush();
    /// The connection's end, where both directions have ended.
    Next check_end();
    [[nodiscard]] uint32_t shutdown_flags() const;

    VsockTimes times_;
    State state_;
    VsockPorts ports_;
    UniqueFd socket_;
    VsockCredit credit_{0};
    VsockBacklog backlog_;
    uint32_t pending_ = 0;  ///< one bit for each VsockOp that is due
    std::optional<Clock::time_point> deadline_;
    bool readable_ = false;  ///< the socket may hold data, or its end
    bool ending_ = false;    ///< behind the data there is an end
    bool was_full_ = false;  ///< the socket, once
    bool write_wish_ = false;
    bool credit_requested_ = false;  ///< since the guest's buffer was full
    bool host_quiet_ = false;        ///< the host sends no more
    bool host_deaf_ = false;         ///< the host takes no more
    bool guest_quiet_ = false;       ///< the guest sends no more
    bool guest_deaf_ = false;        ///< the guest takes no more
    bool told_quiet_ = false;        ///< the guest knows that the host sends no more
    bool guest_left_ = false;        ///< the guest has forgotten the connection
};

}  // namespace mote
