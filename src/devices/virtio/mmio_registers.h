// MmioRegisters: the registers of one virtio-mmio device, as the driver sees them. A pure state
// machine: no thread, no device, no KVM.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "devices/virtio/queue_config.h"
#include "devices/virtio/register_page.h"

namespace mote {

/// What a device offers, and what never changes.
struct MmioIdentity {
    uint32_t type;
    uint64_t features;
    std::span<const uint16_t> queue_sizes;
};

/// Virtio 1.2, 4.2.2, version 2 only. The page always shows the truth: each change is in it when
/// the method that made it returns. Writes that are wrong, or come in the wrong phase, change
/// nothing. The caller serialises all calls.
class MmioRegisters {
  public:
    /// What a write asks of the transport.
    enum class Effect : uint8_t {
        none,
        ignored,    ///< the write was wrong; Outcome::text says how
        notify,     ///< Outcome::value: a queue's index
        driver_ok,  ///< the queues are configured: activate the device
        reset,      ///< the driver wants a reset; nothing has changed yet: see reset()
    };
    struct Outcome {
        Effect effect = Effect::none;
        uint32_t value = 0;
        std::string_view text;
    };

    MmioRegisters(const MmioIdentity& identity, std::span<std::byte, RegisterPage::kSize> page,
                  std::span<const std::byte> config);

    /// A 32-bit write below the configuration space.
    Outcome write(uint64_t offset, uint32_t value);

    /// Back to how a device starts.
    void reset();
    /// The configuration space changed; the driver learns it by bit 1 of InterruptStatus. Withheld
    /// from a driver between DRIVER and DRIVER_OK.
    void config_changed(std::span<const std::byte> config);
    /// True where a change is withheld: to be shown by config_changed() after DRIVER_OK.
    [[nodiscard]] bool config_withheld() const { return config_withheld_; }
    /// The driver's own write to the configuration space was taken, or its own request or a reset
    /// changed it: shows it without an interrupt.
    void config_written(std::span<const std::byte> config);
    /// DEVICE_NEEDS_RESET; while the driver runs, with a configuration interrupt (2.1.2).
    void needs_reset();

    [[nodiscard]] const RegisterPage& page() const { return page_; }
    [[nodiscard]] uint32_t status() const { return status_; }
    [[nodiscard]] bool driver_ok() const;
    [[nodiscard]] bool features_ok() const;
    [[nodiscard]] uint64_t driver_features() const { return driver_features_; }
    [[nodiscard]] std::span<const QueueConfig> queues() const { return queues_; }

  private:
    Outcome write_status(uint32_t value);
    Outcome write_features(uint32_t value);
    Outcome write_queue(uint64_t offset, uint32_t value);
    static void write_address(QueueConfig& queue, uint64_t offset, uint32_t value);
    [[nodiscard]] QueueConfig* selected();

    void show_constants();
    void show_features();
    void show_queue();
    void show_status();
    void show_interrupts();

    MmioIdentity identity_;
    RegisterPage page_;
    std::vector<QueueConfig> queues_;
    uint32_t status_ = 0;
    uint32_t interrupts_ = 0;
    uint32_t generation_ = 0;
    uint32_t device_features_select_ = 0;
    uint32_t driver_features_select_ = 0;
    uint32_t queue_select_ = 0;
    uint64_t driver_features_ = 0;
    bool config_withheld_ = false;
};

}  // namespace mote
