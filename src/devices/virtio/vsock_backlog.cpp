#include "devices/virtio/vsock_backlog.h"

namespace mote {

void VsockBacklog::append(std::span<const iovec> parts, size_t skip) {
    if (first_ >= bytes_.size() / 2) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(first_));
        first_ = 0;
    }
    for (const iovec& part : parts) {
        if (skip >= part.iov_len) {
            skip -= part.iov_len;
            continue;
        }
        const auto* const data = static_cast<const std::byte*>(part.iov_base);
        bytes_.insert(bytes_.end(), data + skip, data + part.iov_len);
        skip = 0;
    }
}

void VsockBacklog::consume(size_t size) {
    first_ += size;
    if (empty()) clear();
}

void VsockBacklog::clear() {
    bytes_ = {};
    first_ = 0;
}

}  // namespace mote
