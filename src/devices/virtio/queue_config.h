// QueueConfig: what the driver wrote about one queue, before any of it is believed.
#pragma once

#include <cstdint>

#include "memory/guest_address.h"

namespace mote {

/// Plain data; Queue::create() is the gate to a queue that can be used.
struct QueueConfig {
    uint16_t max_size = 0;  ///< what the device offers; not the driver's
    uint32_t size = 0;      ///< as wide as the register it is written to
    bool ready = false;
    GuestAddress descriptors;  ///< descriptor table
    GuestAddress driver;       ///< available ring
    GuestAddress device;       ///< used ring
};

}  // namespace mote
