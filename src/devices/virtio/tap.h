// Tap: a TAP device of the host's as a NetBackend.
#pragma once

#include <memory>

#include "base/unique_fd.h"
#include "devices/virtio/net_backend.h"

namespace mote {

/// Frames pass by readv and writev between guest memory and the kernel. The header in front of a
/// guest's frame is not looked at: the kernel copies it once and checks the copy, as it has to for
/// any user of a TAP.
class Tap final : public NetBackend {
  public:
    /// `fd`: of /dev/net/tun, attached (TUNSETIFF) as TAP with IFF_NO_PI and IFF_VNET_HDR. Sets the
    /// size of its header, and non-blocking mode. Errors: not such a descriptor.
    static Result<std::unique_ptr<Tap>> create(UniqueFd fd);

    [[nodiscard]] int fd() const override { return fd_.get(); }
    [[nodiscard]] uint64_t offloads() const override { return offloads_; }
    Result<> set_offloads(uint64_t features) override;
    ssize_t receive(std::span<const iovec> parts) override;
    ssize_t send(std::span<const iovec> parts) override;

  private:
    explicit Tap(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
    uint64_t offloads_ = 0;
};

}  // namespace mote
