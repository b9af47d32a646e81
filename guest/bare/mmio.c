// The register windows of all virtio-mmio devices, as a driver before DRIVER_OK sees them. Prints
// each register read in four widths, and checks what the specification fixes (virtio 1.3, 4.2.2);
// one line each:
//   reg WINDOW OFFSET b=.. w=.. d=.. q=..     check WINDOW NAME ok|FAIL     result windows=N
//   failures=N
#include "lib/virtio_mmio.h"

static uint64_t failures;

static void check(unsigned window, const char* name, bool good) {
    if (!good) failures++;
    put_text("check ");
    put_number(window);
    put_char(' ');
    put_text(name);
    put_text(good ? " ok\n" : " FAIL\n");
}

static void put_width(const char* name, uint64_t value, unsigned digits) {
    put_text(name);
    put_hex(value, digits);
}

// Reads one register in all widths. The narrow reads must be parts of the wide ones.
static void read_register(unsigned window, const struct virtio_device* device, uint32_t offset,
                          bool* agree) {
    uint64_t at = device->base + offset;
    uint8_t b = mmio_read8(at);
    uint16_t w = mmio_read16(at);
    uint32_t d = mmio_read32(at);
    uint64_t q = mmio_read64(at);
    put_text("reg ");
    put_number(window);
    put_char(' ');
    put_hex(offset, 3);
    put_width(" b=", b, 2);
    put_width(" w=", w, 4);
    put_width(" d=", d, 8);
    put_width(" q=", q, 16);
    put_char('\n');
    uint32_t next = mmio_read32(at + 4);
    if (b != (uint8_t)d || w != (uint16_t)d || (uint32_t)q != d || (uint32_t)(q >> 32) != next)
        *agree = false;
}

static void dump(unsigned window, const struct virtio_device* device) {
    static const uint16_t readable[] = {
        kMagicValue,  kVersion,          kDeviceId,        kVendorId, kDeviceFeatures,
        kQueueNumMax, kQueueReady,       kInterruptStatus, kStatus,   kShmLenLow,
        kShmBaseLow,  kConfigGeneration, kConfig};
    bool agree = true;
    for (unsigned i = 0; i < sizeof readable / sizeof *readable; i++)
        read_register(window, device, readable[i], &agree);
    check(window, "widths-agree", agree);
}

static void check_fixed(unsigned window, const struct virtio_device* device) {
    check(window, "magic", virtio_read(device, kMagicValue) == kMagic);
    check(window, "version", virtio_read(device, kVersion) == 2);
    check(window, "device-id", virtio_read(device, kDeviceId) != 0);
    virtio_write(device, kMagicValue, 0);
    mmio_write8(device->base + kVersion, 0xff);
    check(window, "read-only-stays",
          virtio_read(device, kMagicValue) == kMagic && virtio_read(device, kVersion) == 2);
    virtio_write(device, kShmSel, 0);
    bool absent = true;
    for (uint32_t i = 0; i < 4; i++)
        absent &= virtio_read(device, kShmLenLow + 4 * i) == 0xffffffff;
    check(window, "no-shared-memory", absent);
}

static void check_features(unsigned window, const struct virtio_device* device) {
    uint64_t offered = virtio_offered(device);
    check(window, "version-1-offered", offered & VIRTIO_F_VERSION_1);
    virtio_write(device, kDeviceFeaturesSel, 2);
    check(window, "features-end-at-64", virtio_read(device, kDeviceFeatures) == 0);
    check(window, "negotiates", virtio_negotiate(device, 0) == VIRTIO_F_VERSION_1);
    check(window, "resets", virtio_reset(device));
    // Without VERSION_1 a device of version 2 must not say FEATURES_OK.
    virtio_write(device, kStatus, kAcknowledge | kDriver);
    virtio_write(device, kDriverFeaturesSel, 0);
    virtio_write(device, kDriverFeatures, 0);
    virtio_write(device, kDriverFeaturesSel, 1);
    virtio_write(device, kDriverFeatures, 0);
    virtio_write(device, kStatus, kAcknowledge | kDriver | kFeaturesOk);
    check(window, "refuses-legacy", !(virtio_read(device, kStatus) & kFeaturesOk));
    virtio_reset(device);
    // A feature that was not offered is refused too (bit 63 is reserved).
    virtio_write(device, kStatus, kAcknowledge | kDriver);
    virtio_write(device, kDriverFeaturesSel, 1);
    virtio_write(device, kDriverFeatures, (uint32_t)(VIRTIO_F_VERSION_1 >> 32) | 0x80000000u);
    virtio_write(device, kStatus, kAcknowledge | kDriver | kFeaturesOk);
    check(window, "refuses-unoffered", !(virtio_read(device, kStatus) & kFeaturesOk));
    virtio_reset(device);
}

static void check_queues(unsigned window, const struct virtio_device* device) {
    virtio_negotiate(device, 0);
    virtio_write(device, kQueueSel, 0);
    uint32_t size = virtio_read(device, kQueueNumMax);
    check(window, "queue-0-exists", size != 0 && (size & (size - 1)) == 0);
    check(window, "queue-0-not-ready", virtio_read(device, kQueueReady) == 0);
    virtio_write(device, kQueueSel, 0xffff);
    check(window, "queue-65535-absent",
          virtio_read(device, kQueueNumMax) == 0 && virtio_read(device, kQueueReady) == 0);
    virtio_write(device, kQueueSel, 0xffffffff);
    check(window, "queue-max-absent", virtio_read(device, kQueueNumMax) == 0);
    virtio_reset(device);
    check(window, "status-0-after-reset", virtio_read(device, kStatus) == 0);
    check(window, "no-interrupt-after-reset", virtio_read(device, kInterruptStatus) == 0);
}

// Every offset of the window in every width: any value will do, the machine just lives on.
static void sweep(unsigned window, const struct virtio_device* device) {
    for (uint64_t at = device->base; at < device->base + 0x1000 - 8; at += 13) {
        mmio_read8(at);
        mmio_read16(at);
        mmio_read32(at);
        mmio_read64(at);
    }
    check(window, "survives-sweep", virtio_read(device, kMagicValue) == kMagic);
}

void bare_main(void) {
    struct virtio_device device;
    unsigned window = 0;
    for (; virtio_window(window, &device); window++) {
        virtio_reset(&device);
        dump(window, &device);
        check_fixed(window, &device);
        check_features(window, &device);
        check_queues(window, &device);
        sweep(window, &device);
    }
    put_text("result");
    put_pair("windows", window);
    put_pair("failures", failures);
    put_char('\n');
}
