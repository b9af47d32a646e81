// UserNet: passt, or what speaks like it, as a NetBackend: a network without rights on the host.
#pragma once

#include <cstddef>
#include <vector>

#include "base/unique_fd.h"
#include "devices/virtio/net_backend.h"

namespace mote {

/// Frames over a stream socket, each behind its length (32 bits, big-endian): the protocol of
/// QEMU's stream back end. No offloads. passt makes sockets of the host out of the guest's packets,
/// so each frame is copied, and one for the host's own loopback is dropped: what listens there
/// takes whoever comes for somebody on this host.
class UserNet final : public NetBackend {
  public:
    /// `socket`: connected, SOCK_STREAM.
    explicit UserNet(UniqueFd socket);

    [[nodiscard]] int fd() const override { return socket_.get(); }
    [[nodiscard]] uint64_t offloads() const override { return 0; }
    Result<> set_offloads(uint64_t features) override;
    ssize_t receive(std::span<const iovec> parts) override;
    ssize_t send(std::span<const iovec> parts) override;
    [[nodiscard]] bool flush() override;

  private:
    [[nodiscard]] size_t waiting() const { return end_ - begin_; }
    ssize_t fill();

    UniqueFd socket_;
    std::vector<std::byte> in_;  ///< read from the socket, not yet given out: [begin_, end_)
    size_t begin_ = 0;
    size_t end_ = 0;
    std::vector<std::byte> out_;  ///< the frame to send, behind its length
    size_t sent_ = 0;             ///< bytes of out_ that the socket has taken
};

/// True where the guest must not send this Ethernet frame through sockets of the host: an IP packet
/// for the host's loopback, in any of the ways an address can name it.
[[nodiscard]] bool is_for_loopback(std::span<const std::byte> frame);

}  // namespace mote
