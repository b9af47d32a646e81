#include "devices/virtio/vsock_rx.h"

#include <algorithm>

namespace mote {

using virtio::VsockHeader;

namespace {

/// Appends up to `size` bytes of `parts` from `skip` on; what was appended.
size_t append_part(std::span<const iovec> parts, size_t skip, size_t size,
                   std::vector<iovec>& out) {
    size_t left = size;
    for (const iovec& part : parts) {
        if (skip >= part.iov_len) {
            skip -= part.iov_len;
            continue;
        }
        const size_t here = std::min(left, part.iov_len - skip);
        out.push_back({.iov_base = static_cast<std::byte*>(part.iov_base) + skip, .iov_len = here});
        left -= here;
        skip = 0;
        if (left == 0) break;
    }
    return size - left;
}

}  // namespace

void VsockRx::attach(Queue* queue) {
    chains_.clear();
    queue_ = queue;
}

size_t VsockRx::room_of(const Chain& chain) {
    return std::min<uint64_t>(chain.writable() - sizeof(VsockHeader), virtio::kVsockMaxPayload);
}

bool VsockRx::take() {
    auto chain = queue_->pop();
    if (!chain) return false;
    if (chain->readable() != 0 || chain->writable() <= sizeof(VsockHeader)) {
        queue_->reject(*std::move(chain), "a receive buffer that no packet with data fits");
        return false;
    }
    chains_.push_back(*std::move(chain));
    return true;
}

bool VsockRx::available() {
    return !queue_->broken() && (!chains_.empty() || take());
}

void VsockRx::send(const VsockHeader& header) {
    Chain chain = std::move(chains_.front());
    chains_.pop_front();
    chain.write(std::as_bytes(std::span(&header, 1)));
    queue_->complete(std::move(chain), sizeof header);
}

VsockRx::Room VsockRx::gather(size_t limit) {
    limit = std::min(limit, kMaxBytes);
    parts_.clear();
    size_t bytes = 0;
    for (size_t i = 0; bytes < limit && parts_.size() < kMaxParts; ++i) {
        if (i == chains_.size() && !take()) break;
        const Chain& chain = chains_[i];
        bytes += append_part(chain.writable_parts(), sizeof(VsockHeader),
                             std::min(room_of(chain), limit - bytes), parts_);
    }
    return {.parts = parts_, .bytes = bytes};
}

void VsockRx::fill(VsockHeader header, size_t bytes) {
    while (bytes != 0) {
        Chain chain = std::move(chains_.front());
        chains_.pop_front();
        const auto here = static_cast<uint32_t>(std::min(bytes, room_of(chain)));
        header.length = here;
        chain.write(std::as_bytes(std::span(&header, 1)));
        queue_->complete(std::move(chain), static_cast<uint32_t>(sizeof header) + here);
        bytes -= here;
    }
}

}  // namespace mote
