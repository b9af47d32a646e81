// AutoNetwork: a network device's whole network in one step (`--net auto`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ipv4.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "control/net/netlink.h"

namespace mote {

/// A TAP of mote's own with an address, NAT, and the host set to forward. All of it goes with the
/// file descriptors, also where mote is killed; but forwarding stays on, and rules in Docker's
/// chain stay until remove(), or until the next network is made. Main thread.
class AutoNetwork {
  public:
    /// `what` names the use in messages ("net0"). Needs CAP_NET_ADMIN. Several processes may do
    /// this at once. Errors: one line that tells what the host lacks and how it comes by it.
    static Result<AutoNetwork> create(std::string_view what, std::optional<uint16_t> mtu);

    AutoNetwork(AutoNetwork&& other) noexcept
        : device_(std::move(other.device_)),
          guest_(std::move(other.guest_)),
          netfilter_(std::move(other.netfilter_)),
          tap_(std::move(other.tap_)),
          in_docker_chain_(std::exchange(other.in_docker_chain_, false)) {}
    AutoNetwork& operator=(AutoNetwork&&) = delete;
    /// Removes.
    ~AutoNetwork() { remove(); }

    /// The TAP, non-blocking, with a virtio header. Once.
    UniqueFd take_tap() { return std::move(tap_); }
    [[nodiscard]] const Ipv4Setup& guest() const { return guest_; }
    [[nodiscard]] const std::string& device() const { return device_; }

    /// Takes back what does not go by itself. At most once does something.
    void remove();

  private:
    AutoNetwork(std::string device, Ipv4Setup guest, UniqueFd tap, NetlinkSocket netfilter)
        : device_(std::move(device)),
          guest_(std::move(guest)),
          netfilter_(std::move(netfilter)),
          tap_(std::move(tap)) {}
    Result<> set_up(std::string_view what, std::optional<uint16_t> mtu);
    Result<> pass_docker(std::string_view what, const std::vector<int>& uplinks);

    std::string device_;
    Ipv4Setup guest_;
    NetlinkSocket netfilter_;  ///< owns the table
    UniqueFd tap_;
    bool in_docker_chain_ = false;
};

/// Whether the kernel has what AutoNetwork needs of nftables, and this process may use it: tries
/// it. Errors: the kernel's.
Result<> probe_nftables();

}  // namespace mote
