#include "virtqueue.h"

static void write_address(struct virtio_device device, uint32_t low_register,
                          volatile void* address) {
    virtio_write(&device, low_register, (uint32_t)(uintptr_t)address);
    virtio_write(&device, low_register + 4, (uint32_t)((uintptr_t)address >> 32));
}

bool virtqueue_setup(struct virtqueue* queue, struct virtio_device device, uint16_t number,
                     struct virtq_rings* rings, uint16_t size_limit, uint64_t features) {
    virtio_write(&device, kQueueSel, number);
    uint32_t size = virtio_read(&device, kQueueNumMax);
    if (size == 0) return false;
    while (size > size_limit || size > kQueueMax)
        size /= 2;
    memset(rings, 0, sizeof *rings);
    *queue = (struct virtqueue){.device = device,
                                .number = number,
                                .size = (uint16_t)size,
                                .event_idx = features & VIRTIO_F_EVENT_IDX,
                                .rings = rings};
    virtio_write(&device, kQueueNum, size);
    write_address(device, kQueueDescLow, rings->desc);
    write_address(device, kQueueDriverLow, &rings->avail);
    write_address(device, kQueueDeviceLow, &rings->used);
    virtio_write(&device, kQueueReady, 1);
    // Polling: no interrupt wanted. With EVENT_IDX the flag means nothing, and an event index that
    // stands still costs one interrupt in 65,536 completions (virtio 1.3, 2.7.7).
    rings->avail.flags = 1;
    rings->avail.ring[size] = 0xffff;
    return true;
}

void virtqueue_add(struct virtqueue* queue, uint16_t head) {
    queue->rings->avail.ring[queue->next_avail++ % queue->size] = head;
}

void virtqueue_kick(struct virtqueue* queue) {
    queue->kicks++;
    virtio_write(&queue->device, kQueueNotify, queue->number);
}

void virtqueue_publish(struct virtqueue* queue) {
    uint16_t old = queue->published;
    uint16_t new = queue->published = queue->next_avail;
    if (queue->interrupts) {
        queue->rings->avail.flags = 0;
        queue->rings->avail.ring[queue->size] = queue->last_used;
    }
    store_barrier();
    queue->rings->avail.index = new;
    full_barrier();  // the index must be out before the device's wish is read
    bool wanted;
    if (queue->event_idx) {
        uint16_t event = (uint16_t)queue->rings->used.ring[queue->size].id;
        wanted = (uint16_t)(new - event - 1) < (uint16_t)(new - old);
    } else {
        wanted = !(queue->rings->used.flags & 1);
    }
    if (wanted) virtqueue_kick(queue);
}

bool virtqueue_take(struct virtqueue* queue, struct virtq_used_element* element) {
    if (queue->rings->used.index == queue->last_used) return false;
    load_barrier();
    volatile struct virtq_used_element* used =
        &queue->rings->used.ring[queue->last_used++ % queue->size];
    *element = (struct virtq_used_element){used->id, used->length};
    return true;
}
