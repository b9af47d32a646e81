#include "devices/virtio/chain.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "devices/virtio/queue.h"

namespace mote {

namespace {

/// Walks `size` bytes off the front of `list`, part by part.
template <class Copy>
void consume(BufferList& list, size_t size, Copy copy) {
    list.bytes -= size;
    while (size != 0) {
        iovec& part = list.parts[list.first];
        const size_t here = std::min(size, part.iov_len);
        copy(part.iov_base, here);
        size -= here;
        part.iov_base = static_cast<std::byte*>(part.iov_base) + here;
        part.iov_len -= here;
        if (part.iov_len == 0) ++list.first;
    }
}

}  // namespace

Chain::~Chain() {
    if (queue_ != nullptr) queue_->abandon(*this);
}

bool Chain::read(std::span<std::byte> out) {
    if (out.size() > readable()) return false;
    std::byte* to = out.data();
    consume(buffers_->readable, out.size(), [&to](const void* from, size_t size) {
        std::memcpy(to, from, size);
        to += size;
    });
    return true;
}

bool Chain::write(std::span<const std::byte> data) {
    if (data.size() > writable()) return false;
    const std::byte* from = data.data();
    consume(buffers_->writable, data.size(), [&from](void* to, size_t size) {
        std::memcpy(to, from, size);
        from += size;
    });
    return true;
}

std::byte* Chain::take_last_writable() {
    BufferList& list = buffers_->writable;
    if (list.bytes == 0) return nullptr;
    iovec& last = list.parts.back();
    --list.bytes;
    --last.iov_len;
    std::byte* const place = static_cast<std::byte*>(last.iov_base) + last.iov_len;
    if (last.iov_len == 0) list.parts.pop_back();
    return place;
}

}  // namespace mote
