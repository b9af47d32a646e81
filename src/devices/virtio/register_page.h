// RegisterPage: the 4 KiB of a virtio-mmio device that the guest reads, without an exit where the
// page lies in a read-only memory slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mote {

/// Register offsets (virtio 1.2, 4.2.2).
namespace mmio {
inline constexpr uint64_t kMagicValue = 0x000;
inline constexpr uint64_t kVersion = 0x004;
inline constexpr uint64_t kDeviceId = 0x008;
inline constexpr uint64_t kVendorId = 0x00C;
inline constexpr uint64_t kDeviceFeatures = 0x010;
inline constexpr uint64_t kDeviceFeaturesSel = 0x014;
inline constexpr uint64_t kDriverFeatures = 0x020;
inline constexpr uint64_t kDriverFeaturesSel = 0x024;
inline constexpr uint64_t kQueueSel = 0x030;
inline constexpr uint64_t kQueueNumMax = 0x034;
inline constexpr uint64_t kQueueNum = 0x038;
inline constexpr uint64_t kQueueReady = 0x044;
inline constexpr uint64_t kQueueNotify = 0x050;
inline constexpr uint64_t kInterruptStatus = 0x060;
inline constexpr uint64_t kInterruptAck = 0x064;
inline constexpr uint64_t kStatus = 0x070;
inline constexpr uint64_t kQueueDescLow = 0x080;
inline constexpr uint64_t kQueueDescHigh = 0x084;
inline constexpr uint64_t kQueueDriverLow = 0x090;
inline constexpr uint64_t kQueueDriverHigh = 0x094;
inline constexpr uint64_t kQueueDeviceLow = 0x0A0;
inline constexpr uint64_t kQueueDeviceHigh = 0x0A4;
inline constexpr uint64_t kShmSel = 0x0AC;
inline constexpr uint64_t kShmLenLow = 0x0B0;
inline constexpr uint64_t kShmBaseHigh = 0x0BC;
inline constexpr uint64_t kConfigGeneration = 0x0FC;
inline constexpr uint64_t kConfig = 0x100;

inline constexpr uint32_t kMagic = 0x7472'6976;  // "virt"
inline constexpr uint32_t kInterruptUsed = 1;
inline constexpr uint32_t kInterruptConfig = 2;
}  // namespace mmio

/// Guest vCPUs read the page at any instant, so a field changes by one atomic store. Writers and
/// read() are serialised by the caller.
class RegisterPage {
  public:
    static constexpr size_t kSize = 4096;
    static constexpr size_t kMaxConfig = kSize - mmio::kConfig;

    /// `page` is 8-byte aligned, outlives this, and is zeroed here.
    explicit RegisterPage(std::span<std::byte, kSize> page);

    /// Stores a register; `offset` is a multiple of 4.
    void set(uint64_t offset, uint32_t value);
    /// Stores the configuration space, in aligned units of 8 bytes, the changed ones only.
    void set_config(std::span<const std::byte> config);
    /// What a guest reads at `offset`, in any width; bytes beyond the page are 0.
    void read(uint64_t offset, std::span<std::byte> data) const;

  private:
    std::span<std::byte, kSize> page_;
};

}  // namespace mote
