#include "block.h"

static struct virtq_rings rings[kBanks];
static struct block_header headers[kBanks][kSlots];
static volatile uint8_t statuses[kBanks][kSlots];
static struct virtq_desc tables[kBanks][kSlots][kChainLength];

const char* block_start(struct block_device* block, uint64_t wanted) {
    if (!virtio_reset(&block->device)) return "the block device does not reset";
    block->features = virtio_negotiate(&block->device, wanted);
    if (!block->features) return "the block device refuses the features";
    if (!virtqueue_setup(&block->queue, block->device, 0, &rings[block->bank], kQueueMax,
                         block->features))
        return "the block device has no queue";
    block->sectors = (uint64_t)virtio_read(&block->device, kConfig + 4) << 32 |
                     virtio_read(&block->device, kConfig);
    block->indirect = block->features & VIRTIO_F_INDIRECT_DESC;
    block->stride = block->indirect ? 1 : kChainLength;
    block->slots = block->queue.size / block->stride;
    if (block->slots > kSlots) block->slots = kSlots;
    virtio_write(&block->device, kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    return NULL;
}

const char* block_open(struct block_device* block, unsigned n, uint64_t wanted) {
    if (!virtio_find(kDeviceIdBlock, n, &block->device)) return "no such block device";
    return block_start(block, wanted);
}

// Fills the descriptors of one request; `first` is the index of desc[0] in the table the chain
// lives in.
static unsigned fill_chain(const struct block_device* block, volatile struct virtq_desc* desc,
                           uint16_t first, unsigned slot, uint32_t type, void* data,
                           uint32_t length) {
    const struct block_header* header = &headers[block->bank][slot];
    unsigned count = 0;
    desc[count++] =
        (struct virtq_desc){(uintptr_t)header, sizeof *header, kDescNext, (uint16_t)(first + 1)};
    if (length) {
        bool device_writes = type == kBlockIn || type == kBlockGetId;
        uint16_t flags = device_writes ? kDescNext | kDescWrite : kDescNext;
        desc[count++] = (struct virtq_desc){(uintptr_t)data, length, flags, (uint16_t)(first + 2)};
    }
    desc[count++] = (struct virtq_desc){(uintptr_t)&statuses[block->bank][slot], 1, kDescWrite, 0};
    return count;
}

void block_add(struct block_device* block, unsigned slot, uint32_t type, uint64_t sector,
               void* data, uint32_t length) {
    headers[block->bank][slot] = (struct block_header){.type = type, .sector = sector};
    statuses[block->bank][slot] = kBlockPending;
    uint16_t head = (uint16_t)(slot * block->stride);
    volatile struct virtq_desc* desc = &block->queue.rings->desc[head];
    if (block->indirect) {
        struct virtq_desc* table = tables[block->bank][slot];
        unsigned count = fill_chain(block, table, 0, slot, type, data, length);
        *desc = (struct virtq_desc){(uintptr_t)table, count * (uint32_t)sizeof(struct virtq_desc),
                                    kDescIndirect, 0};
    } else {
        fill_chain(block, desc, head, slot, type, data, length);
    }
    virtqueue_add(&block->queue, head);
}

int block_take(struct block_device* block, uint8_t* status) {
    struct virtq_used_element element;
    if (!virtqueue_take(&block->queue, &element)) return -1;
    unsigned slot = element.id / block->stride;
    if (slot >= block->slots || element.id % block->stride)
        fail("a used element names no head of ours");
    *status = statuses[block->bank][slot];
    return (int)slot;
}

uint8_t block_request(struct block_device* block, uint32_t type, uint64_t sector, void* data,
                      uint32_t length) {
    uint8_t status;
    block_add(block, 0, type, sector, data, length);
    virtqueue_publish(&block->queue);
    for (unsigned spins = 1; block_take(block, &status) < 0; spins++) {
        cpu_relax();
        if (spins % 4096 == 0 && virtio_read(&block->device, kStatus) & kNeedsReset)
            return kBlockPending;
    }
    return status;
}
