// DhcpResponder: the DHCP server of one guest on its own wire, as a FrameFilter.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "devices/virtio/dhcp_message.h"
#include "devices/virtio/frame_filter.h"

namespace mote {

struct DhcpConfig {
    Ipv4Setup setup;              ///< what the guest is told; the server is the router
    std::optional<uint16_t> mtu;  ///< told where there is one
};

/// Tells whoever asks on the wire the one address there is, and keeps no state but answers that
/// wait for the guest's buffers: few, and the newest are dropped. Only frames for this server and
/// for all are taken; those for another one pass.
class DhcpResponder final : public FrameFilter {
  public:
    static constexpr uint32_t kLeaseSeconds = 24 * 3600;
    static constexpr size_t kMaxWaiting = 4;
    /// Where answers come from: locally administered, and nobody's else on the wire.
    static constexpr std::array<uint8_t, 6> kMac{0x02, 'm', 'd', 'h', 'c', 'p'};

    explicit DhcpResponder(DhcpConfig config) : config_(std::move(config)) {}

    [[nodiscard]] bool wants(std::span<const std::byte> head) override;
    void take(std::span<const std::byte> frame) override;
    size_t next(std::span<std::byte> room) override;

  private:
    [[nodiscard]] std::optional<DhcpAnswer> answer(const DhcpQuery& query) const;

    const DhcpConfig config_;
    std::deque<std::vector<std::byte>> waiting_;
};

}  // namespace mote
