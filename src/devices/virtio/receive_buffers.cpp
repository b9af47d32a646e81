#include "devices/virtio/receive_buffers.h"

#include <algorithm>
#include <cstring>

#include "devices/virtio/net_protocol.h"

namespace mote {

namespace {

/// Parts given back that may lead the row before it is moved to the front.
constexpr size_t kMaxLead = 1024;

/// Copies `bytes` to what lies behind `offset` in `parts`, as much as fits.
void copy_to(std::span<const iovec> parts, size_t offset, std::span<const std::byte> bytes) {
    for (const iovec& part : parts) {
        if (bytes.empty()) return;
        if (offset >= part.iov_len) {
            offset -= part.iov_len;
            continue;
        }
        const size_t here = std::min(bytes.size(), part.iov_len - offset);
        std::memcpy(static_cast<std::byte*>(part.iov_base) + offset, bytes.data(), here);
        bytes = bytes.subspan(here);
        offset = 0;
    }
}

}  // namespace

ReceiveBuffers::ReceiveBuffers(Queue& queue, bool mergeable)
    : queue_(queue), mergeable_(mergeable), held_(queue.size()) {}

void ReceiveBuffers::gather(uint64_t bytes) {
    // A queue has no more chains in flight than held_ has places.
    while (room() < bytes && (mergeable_ || count_ == 0)) {
        auto chain = queue_.pop();
        if (!chain) return;
        if (chain->readable() != 0)
            return queue_.reject(*std::move(chain), "a receive buffer that the driver filled");
        if (chain->writable() < sizeof(virtio::NetHeader))
            return queue_.reject(*std::move(chain), "a receive buffer smaller than its header");
        add(*std::move(chain));
    }
}

void ReceiveBuffers::add(Chain chain) {
    if (row_first_ >= kMaxLead) {
        row_.erase(row_.begin(), row_.begin() + static_cast<ptrdiff_t>(row_first_));
        row_first_ = 0;
    }
    const auto parts = chain.writable_parts();
    row_.insert(row_.end(), parts.begin(), parts.end());
    if (!mergeable_) row_.push_back({.iov_base = &behind_, .iov_len = 1});
    const uint64_t bytes = chain.writable();
    const size_t count = parts.size() + (mergeable_ ? 0 : 1);
    held_[(first_ + count_) % held_.size()].emplace(std::move(chain), bytes, count);
    ++count_;
    bytes_ += bytes;
}

uint64_t ReceiveBuffers::room() const {
    return bytes_;
}

std::span<const iovec> ReceiveBuffers::parts() const {
    return std::span(row_).subspan(row_first_);
}

void ReceiveBuffers::give(uint64_t size) {
    uint16_t count = 0;
    for (uint64_t covered = 0; covered < size; ++count)
        covered += held_[(first_ + count) % held_.size()]->bytes;
    const le16 buffers = count;
    copy_to(parts(), offsetof(virtio::NetHeader, num_buffers),
            std::as_bytes(std::span(&buffers, 1)));
    while (count-- != 0) {
        Held& held = front();
        const uint64_t written = std::min(size, held.bytes);
        size -= written;
        bytes_ -= held.bytes;
        row_first_ += held.parts;
        queue_.complete(std::move(held.chain), static_cast<uint32_t>(written));
        held_[first_].reset();
        first_ = (first_ + 1) % held_.size();
        --count_;
    }
    if (count_ == 0) {
        row_.clear();
        row_first_ = 0;
    }
}

void ReceiveBuffers::put(std::span<const std::byte> frame) {
    copy_to(parts(), 0, frame);
    give(frame.size());
}

}  // namespace mote
