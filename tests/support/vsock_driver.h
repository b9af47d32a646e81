// VsockDriver: the guest's side of a vsock device, on top of FakeDriver, and real Unix sockets as
// the host's.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/vsock.h"
#include "support/fake_driver.h"

namespace mote::test {

/// A packet from or to the device.
struct VsockPacket {
    virtio::VsockOp op = virtio::VsockOp::rw;
    VsockPorts ports;
    std::string data;
    uint32_t flags = 0;
    uint32_t buffer_size = 1U << 20U;
    uint32_t forwarded = 0;
    uint16_t type = virtio::kVsockStream;
    uint64_t guest_cid = 3;
    uint64_t host_cid = 2;
};

/// A blocking socket of the host's, with a limit on waiting.
class HostSocket {
  public:
    explicit HostSocket(UniqueFd fd);
    [[nodiscard]] int fd() const { return fd_.get(); }
    void close() { fd_.reset(); }
    /// Writes all of it.
    void send(std::string_view text) const;
    /// Reads `size` bytes, or what comes before the end.
    [[nodiscard]] std::string read(size_t size) const;
    /// The line up to and with its end.
    [[nodiscard]] std::string line() const;
    /// True where the other side has ended its stream and nothing is left to read.
    [[nodiscard]] bool ended() const;
    /// The next client of a listener's.
    [[nodiscard]] HostSocket accept() const;

  private:
    UniqueFd fd_;
};

/// A folder of its own, with the socket "vsock" in it.
class VsockDriver {
  public:
    struct Options {
        uint32_t max_connections = 1023;
        VsockTimes times;
        unsigned buffers = 64;  ///< offered to the device from the start
        uint32_t buffer_bytes = 4096;
        bool start = true;
    };
    explicit VsockDriver(const Options& options);
    VsockDriver() : VsockDriver(Options{}) {}
    ~VsockDriver();
    VsockDriver(const VsockDriver&) = delete;
    VsockDriver& operator=(const VsockDriver&) = delete;

    /// Fresh queues, with what start-up offers.
    void start();
    /// Offers receive buffers.
    void offer(unsigned count, uint32_t bytes);

    void send(const VsockPacket& packet);
    /// The next packet from the device, waited for; its buffer is offered again.
    std::optional<VsockPacket> receive(bool offer_again = true);
    /// True where nothing comes within a tenth of a second.
    bool silent();

    /// A client of the host's that has said `greeting`.
    [[nodiscard]] HostSocket client(std::string_view greeting) const;
    [[nodiscard]] HostSocket listen(uint32_t port, int backlog = 16) const;

    /// A connection of each kind, established.
    struct Pair {
        HostSocket host;
        VsockPorts ports;
    };
    Pair connect_host(uint32_t guest_port = 7, uint32_t guest_buffer = 1U << 20U);
    /// For a driver that offers no buffers of its own: just those this takes.
    Pair connect_host_with_buffers();
    Pair connect_guest(uint32_t host_port = 52, uint32_t guest_port = 900,
                       uint32_t guest_buffer = 1U << 20U);

    FakeRam ram{uint64_t{128} << 20U};
    std::string folder;
    Options options;
    FakeDriver driver;
    std::optional<FakeQueue> rx, tx, event;

  private:
    struct Offered {
        GuestAddress address;
        uint32_t bytes = 0;
    };
    void add_buffer(const Offered& buffer);
    std::vector<Offered> offered_;  ///< by head
};

}  // namespace mote::test
