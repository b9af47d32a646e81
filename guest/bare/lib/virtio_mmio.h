// The virtio-mmio transport, driver side (virtio 1.3, 4.2), version 2 only.
#pragma once
#include "bare.h"

// Register offsets (virtio 1.3, 4.2.2).
enum {
    kMagicValue = 0x000,
    kVersion = 0x004,
    kDeviceId = 0x008,
    kVendorId = 0x00c,
    kDeviceFeatures = 0x010,
    kDeviceFeaturesSel = 0x014,
    kDriverFeatures = 0x020,
    kDriverFeaturesSel = 0x024,
    kQueueSel = 0x030,
    kQueueNumMax = 0x034,
    kQueueNum = 0x038,
    kQueueReady = 0x044,
    kQueueNotify = 0x050,
    kInterruptStatus = 0x060,
    kInterruptAck = 0x064,
    kStatus = 0x070,
    kQueueDescLow = 0x080,
    kQueueDriverLow = 0x090,
    kQueueDeviceLow = 0x0a0,
    kShmSel = 0x0ac,
    kShmLenLow = 0x0b0,
    kShmBaseLow = 0x0b8,
    kConfigGeneration = 0x0fc,
    kConfig = 0x100,
};

enum { kMagic = 0x74726976 };  // "virt"

// Device status bits (virtio 1.3, 2.1).
enum {
    kAcknowledge = 1,
    kDriver = 2,
    kDriverOk = 4,
    kFeaturesOk = 8,
    kNeedsReset = 64,
    kFailed = 128,
};

enum {
    kDeviceIdNet = 1,
    kDeviceIdBlock = 2,
    kDeviceIdConsole = 3,
    kDeviceIdEntropy = 4,
    kDeviceIdBalloon = 5,
    kDeviceIdVsock = 19,
    kDeviceIdMemory = 24,
    kDeviceIdPmem = 27,
};

// Feature bits every device may offer (virtio 1.3, 6).
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

// A console's (virtio 1.3, 5.3.3).
#define VIRTIO_CONSOLE_F_SIZE (1ull << 0)

// A device's register window: its guest-physical address.
struct virtio_device {
    uint64_t base;
};

// Finds the n-th window named on the command line (`virtio_mmio.device=SIZE@ADDRESS:IRQ`).
bool virtio_window(unsigned n, struct virtio_device* device);
// Finds the n-th device with this device ID, in the order of the command line.
bool virtio_find(uint32_t device_id, unsigned n, struct virtio_device* device);

static inline uint32_t virtio_read(const struct virtio_device* device, uint32_t reg) {
    return mmio_read32(device->base + reg);
}
static inline void virtio_write(const struct virtio_device* device, uint32_t reg, uint32_t value) {
    mmio_write32(device->base + reg, value);
}

// Resets the device and waits until it says so; false when it never does.
bool virtio_reset(const struct virtio_device* device);
// Negotiates (virtio 1.3, 3.1.1, steps 1 to 6): accepts `wanted` where offered, VERSION_1 always.
// The device must have been reset. Returns what was agreed on, or 0 when the device refused.
uint64_t virtio_negotiate(const struct virtio_device* device, uint64_t wanted);
uint64_t virtio_offered(const struct virtio_device* device);
