#include "virtio_mmio.h"

bool virtio_window(unsigned n, struct virtio_device* device) {
    static const char key[] = "virtio_mmio.device=";
    for (const char* text = cmdline_text(); *text; text++) {
        const char *t = text, *k = key;
        while (*k && *t == *k)
            t++, k++;
        if (*k || n-- != 0) {
            if (!*k) text = t - 1;
            continue;
        }
        parse_number(&t);
        if (*t++ != '@') return false;
        device->base = parse_number(&t);
        return true;
    }
    return false;
}

bool virtio_find(uint32_t device_id, unsigned n, struct virtio_device* device) {
    for (unsigned i = 0; virtio_window(i, device); i++) {
        if (virtio_read(device, kMagicValue) != kMagic || virtio_read(device, kVersion) != 2)
            continue;
        if (virtio_read(device, kDeviceId) == device_id && n-- == 0) return true;
    }
    return false;
}

bool virtio_reset(const struct virtio_device* device) {
    virtio_write(device, kStatus, 0);
    for (unsigned tries = 0; tries < 100000; tries++) {
        if (virtio_read(device, kStatus) == 0) return true;
        cpu_relax();
    }
    return false;
}

uint64_t virtio_offered(const struct virtio_device* device) {
    virtio_write(device, kDeviceFeaturesSel, 1);
    uint64_t high = virtio_read(device, kDeviceFeatures);
    virtio_write(device, kDeviceFeaturesSel, 0);
    return high << 32 | virtio_read(device, kDeviceFeatures);
}

uint64_t virtio_negotiate(const struct virtio_device* device, uint64_t wanted) {
    virtio_write(device, kStatus, kAcknowledge);
    virtio_write(device, kStatus, kAcknowledge | kDriver);
    uint64_t agreed = virtio_offered(device) & (wanted | VIRTIO_F_VERSION_1);
    virtio_write(device, kDriverFeaturesSel, 0);
    virtio_write(device, kDriverFeatures, (uint32_t)agreed);
    virtio_write(device, kDriverFeaturesSel, 1);
    virtio_write(device, kDriverFeatures, (uint32_t)(agreed >> 32));
    virtio_write(device, kStatus, kAcknowledge | kDriver | kFeaturesOk);
    return virtio_read(device, kStatus) & kFeaturesOk ? agreed : 0;
}
