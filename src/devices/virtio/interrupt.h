// VirtioInterrupt: how a device reaches its driver, whatever the transport.
#pragma once

#include <cstdint>
#include <string_view>

namespace mote {

/// The transport's side of a device. Called on the device's worker thread.
class VirtioInterrupt {
  public:
    VirtioInterrupt() = default;
    VirtioInterrupt(const VirtioInterrupt&) = delete;
    VirtioInterrupt& operator=(const VirtioInterrupt&) = delete;
    virtual ~VirtioInterrupt() = default;

    /// Used buffers were published on queue `index`, and the driver wants to hear of it.
    virtual void queue(uint16_t index) = 0;
    /// The configuration space changed: the driver sees VirtioDevice::config() as it is now.
    virtual void config() = 0;
    /// The configuration space changed as the driver's own request made it: shown without an
    /// interrupt.
    virtual void refresh_config() = 0;
    /// The device cannot go on until the driver resets it (virtio 1.2, 2.1.2): the driver broke
    /// the protocol, or the host failed the device. `why` is for the log.
    virtual void needs_reset(std::string_view why) = 0;
};

}  // namespace mote
